"""Reason, then encode: from items to vectors, traces and routes."""
