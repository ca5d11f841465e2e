"""Component `register`."""
