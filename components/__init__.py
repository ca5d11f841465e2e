"""The steps as Kubeflow components, one folder each."""
