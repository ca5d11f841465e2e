"""The registry: versions of a model, requests to put them into production, and who decided what."""
