"""Component `embed`."""
