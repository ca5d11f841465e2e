"""Expectations on a data set and on what was made from it, run by Great Expectations."""
