"""The third face of the steps: components in pods, pipelines of them, run here or sent to a cluster."""
