"""Encoding whole pools: which records, in what units, by which process, and what need not be done again."""
