"""Component `train`."""
