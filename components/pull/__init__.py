"""Component `pull`."""
