"""Component `gate`."""
