"""Which systems find what: metrics, runs, intervals, reports."""
