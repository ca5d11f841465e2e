"""The M-BEIR format: records, ids, pairs, text rules, files (UniIR, arXiv 2311.17136)."""
