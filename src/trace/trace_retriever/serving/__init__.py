"""Serving: a model behind the Open Inference Protocol, its engine shared by all requests in flight."""
