"""Component `synthesize`."""
