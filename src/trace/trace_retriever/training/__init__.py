"""Training: sampling, the objective, gradient caching, DeepSpeed, checkpoints, validation."""
