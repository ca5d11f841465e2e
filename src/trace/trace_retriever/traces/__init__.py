"""Reasoning traces: which queries need one, who writes it, and which are kept (paper, M-BEIR-CoT)."""
