"""Component `publish`."""
