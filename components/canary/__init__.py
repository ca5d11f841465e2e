"""Component `canary`."""
