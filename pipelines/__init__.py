"""The pipelines: which components run in which order, on which machines. Compiled into `compiled/`."""
