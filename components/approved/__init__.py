"""Component `approved`."""
