"""Component `validate`."""
