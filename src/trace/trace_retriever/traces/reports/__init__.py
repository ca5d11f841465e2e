"""Figures and pages of the steps route, synthesize and filter."""
