"""Exact inner-product search: every candidate is scored, in float32, and ties fall to the lower row.

Shape legend: Q queries, N candidates, D entries of a vector, K results a query.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_retriever.search.store import Vectors

SLACK = 28  # results taken beyond k, so that rounding and ties at the boundary are settled by rescoring
ROUNDING = 1e-5  # scores of unit vectors that FAISS's own arithmetic cannot tell apart


@dataclass(frozen=True)
class Found:
    """Rankings, best first.

    Attributes:
        rows: int64 [Q, K], rows of the candidate matrix.
        scores: float32 [Q, K], descending; equal scores are in ascending order of rows.
    """

    rows: NDArray[np.int64]
    scores: Vectors


class ExactIndex:
    """A pool of candidates that is searched exhaustively.

    FAISS finds the best k and some more; these are scored again in float64, so that a score depends on its
    two vectors only, not on the block it was computed in, and equal vectors tie exactly. Where a tie may
    reach beyond what FAISS returned, that query is searched through the whole pool.

    Args:
        candidates: float32 [N, D], in the order that breaks ties (ascending did).
    """

    def __init__(self, candidates: Vectors) -> None:
        import faiss

        self.candidates = np.ascontiguousarray(candidates, np.float32)
        self._flat = faiss.IndexFlatIP(candidates.shape[1])
        self._flat.add(self.candidates)

    def __len__(self) -> int:
        return len(self.candidates)

    def search(self, queries: Vectors, k: int, *, block: int = 1024) -> Found:
        """The k candidates with the largest inner product, for each query.

        Args:
            queries: float32 [Q, D].
            k: results a query; fewer come back where N is smaller.
            block: queries searched at a time.

        Returns:
            Rows and scores [Q, min(k, N)].
        """
        k = min(k, len(self))
        if not k or not len(queries):
            return Found(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        queries = np.ascontiguousarray(queries, np.float32)
        parts = [self._search(queries[start : start + block], k) for start in range(0, len(queries), block)]
        rows, scores = ([getattr(part, name) for part in parts] for name in ("rows", "scores"))
        return Found(np.concatenate(rows), np.concatenate(scores))

    def _search(self, queries: Vectors, k: int) -> Found:
        width = min(k + SLACK, len(self))
        rough, rows = self._flat.search(queries, width)
        found = self._rescore(queries, rows, k)
        if width < len(self):
            for number in np.flatnonzero(found.scores[:, -1] - rough[:, -1] < ROUNDING):
                query = queries[number : number + 1]
                again = self._rescore(query, self._flat.search(query, len(self))[1], k)
                found.rows[number], found.scores[number] = again.rows[0], again.scores[0]
        return found

    def _rescore(self, queries: Vectors, rows: NDArray[np.int64], k: int) -> Found:
        """Score the given rows [Q, M] exactly and keep the best k, by score and then by row."""
        scores = np.empty(rows.shape, np.float32)
        for number, (query, chosen) in enumerate(zip(queries.astype(np.float64), rows, strict=True)):
            scores[number] = (self.candidates[chosen].astype(np.float64) * query).sum(-1)
        order = np.lexsort((rows, -scores))[:, :k]
        return Found(np.take_along_axis(rows, order, 1), np.take_along_axis(scores, order, 1))
