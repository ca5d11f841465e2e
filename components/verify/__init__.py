"""Component `verify`."""
