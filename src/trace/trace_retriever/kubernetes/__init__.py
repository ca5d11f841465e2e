"""Training on several machines of a cluster: its objects, rendered from settings, and a client for them."""
