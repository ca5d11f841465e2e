"""Component `filter`."""
