"""Vectors to search in, and the answer that sorting all scores gives."""

import numpy as np

from trace_retriever.store.matrix import Vectors


def unit(rng: np.random.Generator, count: int, dim: int = 16) -> Vectors:
    vectors = rng.normal(size=(count, dim))
    unit_vectors: Vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit_vectors


def by_hand(queries: Vectors, candidates: Vectors, k: int) -> list[list[int]]:
    """All scores, sorted by score and then by row."""
    exact = candidates.astype(np.float64)
    scores = np.stack([(exact * query).sum(-1) for query in queries.astype(np.float64)]).astype(np.float32)
    return [sorted(range(len(candidates)), key=lambda row: (-line[row], row))[:k] for line in scores]
