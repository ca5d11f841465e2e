"""Search over vectors: exact, and with indices for serving that are held against it."""
