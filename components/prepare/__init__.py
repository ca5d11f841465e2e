"""Component `prepare`."""
