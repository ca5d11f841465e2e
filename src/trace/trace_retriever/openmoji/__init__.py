"""The made benchmark: OpenMoji pictures as scenes, its tasks, and the tiny backbone's pre-training."""
