"""TRACE: a universal multimodal retriever that reasons, then encodes (arXiv 2603.02929)."""

__version__ = "0.1.0"
