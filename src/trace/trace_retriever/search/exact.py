"""Exact inner-product search in one pass over the candidates, in bounded memory; ties fall to the lower row.

A block of candidates is read, and all queries are multiplied with it in the fastest type of the machine. A
pair is looked at again only if its fast score, with all that it may be wrong by (`margin.py`), can reach the
k best so far; its score is then computed in float64 from its two vectors. So what is found does not depend on
the fast type, the block size or the device, and equal vectors tie exactly.

Shape legend: Q queries, N candidates, D entries of a vector, K results a query, B candidates of a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.search.best import MAX_ROWS, Best, unpack
from trace_retriever.search.blocks import Block, Pool, read_blocks, to_float32, widened
from trace_retriever.search.margin import (
    Precision,
    Rounded,
    at_least,
    bound,
    fast_precision,
    round_to,
    strict_products,
    threshold,
)
from trace_retriever.search.pairs import kth_score, pairs_above
from trace_retriever.store.matrix import Matrix, Vectors

MEMORY = 2**30
BLOCK = 16_384  # candidates read at a time
TILE = 512  # queries multiplied at a time
LANES = 16  # columns that a matrix unit computes at once: fewer queries are filled up with zeros
UNSELECTIVE = 8  # pairs a query and block, as a multiple of k, beyond which a longer type is worth its time
SCORED = 2**18  # entries of vectors that are scored again at a time: what a cache holds


@dataclass(frozen=True)
class Found:
    """Rankings, best first.

    Attributes:
        rows: int64 [Q, K], places in the pool.
        scores: float32 [Q, K], descending; equal scores are in ascending order of rows.
    """

    rows: NDArray[np.int64]
    scores: Vectors


class ExactIndex:
    """A pool of candidates that is searched exhaustively.

    Args:
        candidates: float16 or float32 [C, D], in the order that breaks ties (ascending did); may lie on disk.
        rows: int64 [N], ascending: the rows that make the pool; None for all. Nothing is copied.
        memory: bytes that a search may use beside what was passed to it; queries that do not fit in half of
            it are searched in groups, a pass over the candidates each.
        keep: keep candidates in the fast type between searches, where they fit in half of `memory`.
        block: candidates read at a time.
        precision: the fast type; "auto" is the one that is faster here.
        device: where products are computed: "cpu", "cuda", "cuda:1", ...
    """

    def __init__(
        self,
        candidates: Matrix,
        rows: NDArray[np.int64] | None = None,
        *,
        memory: int = MEMORY,
        keep: bool = False,
        block: int = BLOCK,
        precision: Precision = "auto",
        device: str = "cpu",
    ) -> None:
        self.pool = Pool(candidates, rows)
        if len(self) > MAX_ROWS:
            raise DataError(f"a pool of {len(self)} candidates; {MAX_ROWS} are possible")
        self.dim = candidates.shape[1]
        self.memory, self.device = memory, device
        self.precision = fast_precision(device) if precision == "auto" else precision
        self.block = max(1, min(block, memory // (64 * self.dim)))
        self._keeps = keep and 2 * self._width() * len(self) <= memory
        self._kept: list[Block] = []

    def __len__(self) -> int:
        return len(self.pool)

    def search(self, queries: NDArray[Any], k: int) -> Found:
        """The k candidates with the largest inner product, for each query.

        Args:
            queries: float32 or float16 [Q, D].
            k: results a query; fewer come back where N is smaller.

        Returns:
            Rows and scores [Q, min(k, N)].

        Raises:
            DataError: a vector is not finite, or queries and candidates differ in length.
        """
        k = min(k, len(self))
        if queries.shape[1] != self.dim:
            raise DataError(f"queries of {queries.shape[1]} entries, candidates of {self.dim}")
        if not k or not len(queries):
            return Found(np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32))
        room = max(1, self.memory // 2 // (self._width() + 64 * k))
        with strict_products():
            groups = [self._search(queries[at : at + room], k) for at in range(0, len(queries), room)]
        scores, rows = unpack(np.concatenate(groups))
        return Found(rows, scores)

    def _width(self) -> int:
        """Bytes of a vector in the fast type."""
        return self.dim * (2 if self.precision == "bfloat16" else 4)

    def _search(self, queries: NDArray[Any], k: int) -> NDArray[np.uint64]:
        best = Best(len(queries), k)
        tiles = [Tile(self, queries, start, best) for start in range(0, len(queries), TILE)]
        for block in self._blocks():
            for tile in tiles:
                tile.meet(block)
            if block.start == 0:
                best.merge()  # the first floor, soon
        best.merge()
        return best.keys

    def _blocks(self) -> Iterator[Block]:
        if self._kept:
            yield from (block.kept() for block in self._kept)
            return
        kept = []
        for block in read_blocks(self.pool, self.block, self.device, self.precision):
            yield block
            if self._keeps:
                kept.append(block.kept())
        self._kept = kept


class Tile:
    """Some of the queries on their way through the candidates.

    Args:
        index: whose device and fast type are used.
        queries: all queries [Q, D].
        start: the first of the tile's.
        best: where results go.
    """

    def __init__(self, index: ExactIndex, queries: NDArray[Any], start: int, best: Best) -> None:
        self.index, self.best, self.start = index, best, start
        self.queries = queries[start : start + TILE]
        self.precision = index.precision
        self.fast = self._round()

    def _round(self) -> Rounded:
        import torch

        stored = to_float32(self.queries, self.index.device)
        values, norms, lost = round_to(stored, self.precision)
        if not np.isfinite(norms.sum().item()):
            raise DataError("a query's vector is not finite", remedy="embed it again")
        filled = torch.nn.functional.pad(values, (0, 0, 0, max(0, LANES - len(values))))
        return Rounded(filled, widened(norms), widened(lost))

    def meet(self, block: Block) -> None:
        """Multiply with a block of candidates and offer what may be among the best."""
        if self.precision == "float32" and block.precision != "float32":
            block = block.in_float32
        parts, count = [], 0
        for part in self._reaching(block):
            parts.append(part)
            count += len(part[0])
            if self.precision == "float32":
                self._offer(block, *parts.pop())
            elif count > UNSELECTIVE * self.best.keys.shape[1] * len(self.queries):
                # scores too close together for this type to tell them apart: from here on in a longer one
                self.precision = "float32"
                self.fast = self._round()
                return self.meet(block)
        for part in parts:
            self._offer(block, *part)
        return None

    def _reaching(
        self, block: Block
    ) -> "Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Vectors, NDArray[np.float64]]]":
        """Pairs whose true score may pass the floor: places in the block, queries, fast scores, errors."""
        import torch

        error = bound(self.fast, block.fast, self.index.dim)
        scores = torch.mm(block.fast.values, self.fast.values.T)[:, : len(self.queries)]  # [B, Q]
        floor = self.best.floor[self.start : self.start + len(self.queries)]
        if np.isneginf(floor).any() and len(scores) >= (k := self.best.keys.shape[1]):
            kth = kth_score(scores, k).float().cpu().numpy()
            floor = np.maximum(floor, at_least(kth, error, self.precision))
        for places, queries, fast in pairs_above(scores, threshold(floor, error, self.precision)):
            yield places, queries, fast, error[queries]

    def _offer(
        self,
        block: Block,
        places: NDArray[np.int64],
        queries: NDArray[np.int64],
        fast: Vectors,
        error: NDArray[np.float64],
    ) -> None:
        step = max(1, SCORED // self.index.dim)
        for at in range(0, len(places), step):
            chosen = slice(at, at + step)
            scores = true_scores(block.exact(places[chosen]), self.queries[queries[chosen]])
            _verify(scores, fast[chosen], error[chosen], self.precision)
            self.best.offer(queries[chosen] + self.start, scores, places[chosen] + block.start)


def true_scores(candidates: NDArray[Any], queries: NDArray[Any]) -> Vectors:
    """Inner products of pairs, [M, D] and [M, D] → [M], in float64; no row of them matters to another."""
    products = candidates.astype(np.float64)
    products *= queries
    scores: Vectors = products.sum(-1).astype(np.float32)
    return scores


def _verify(scores: Vectors, fast: Vectors, error: NDArray[np.float64], precision: str) -> None:
    """A machine whose products are further off than the bound would lose results: say so instead."""
    if (scores < at_least(fast, error, precision)).any() or (
        fast < threshold(scores, error, precision)
    ).any():
        raise RuntimeError(f"this machine's {precision} products are less exact than their type says")
