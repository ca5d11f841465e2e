"""Component `backbone`."""
