"""Component `rollout`."""
