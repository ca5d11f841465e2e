"""Component `route`."""
