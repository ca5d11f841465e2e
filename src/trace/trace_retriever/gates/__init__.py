"""Whether a model may be promoted: checks, their statistics, the verdict and its page."""
