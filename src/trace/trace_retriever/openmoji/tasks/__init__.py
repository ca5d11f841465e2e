"""The pairs of the made benchmark, one module a family; each fills drafts of one split."""
