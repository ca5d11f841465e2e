"""The best k of what was seen so far, for many queries at once.

A score and its row make one unsigned number: the score's bits, turned so that a larger score is a smaller
number, above the row's. Sorting such keys sorts by score, descending, and then by row, ascending; NumPy sorts
them with vector instructions.
"""

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
MAX_ROWS = 2**32 - 1  # rows that fit into a key
SIGN = np.uint32(0x8000_0000)


def pack(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> Keys:
    """Keys of finite scores at rows below `MAX_ROWS`; both zeros are one."""
    bits = (scores + np.float32(0)).view(np.uint32)
    descending = np.where(bits & SIGN, bits, ~(bits | SIGN))
    return (descending.astype(np.uint64) << np.uint64(32)) | rows.astype(np.uint64)


def unpack(keys: Keys) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The scores and rows of keys."""
    descending = (keys >> np.uint64(32)).astype(np.uint32)
    bits = np.where(descending & SIGN, descending, ~descending & ~SIGN)
    return bits.view(np.float32), (keys & np.uint64(MAX_ROWS)).astype(np.int64)


EMPTY = pack(np.array([-np.inf], np.float32), np.array([MAX_ROWS]))[0]


class Best:
    """A running top k.

    Offers are gathered and merged together once there are a quarter as many as there are results: a merge
    costs more than an offer, and `floor` may lag behind without harm.

    Args:
        queries: how many queries there are.
        k: results a query.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.keys: Keys = np.full((queries, k), EMPTY)
        self.floor = np.full(queries, -np.inf, np.float32)
        """The k-th best score of each query at the last merge: what is to count must be above it."""
        self._waiting: list[tuple[NDArray[np.int64], Keys]] = []

    def offer(self, queries: NDArray[np.int64], scores: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        """Take scores of query-row pairs; no pair may be offered twice."""
        self._waiting.append((queries, pack(scores, rows)))
        if 4 * sum(len(keys) for _, keys in self._waiting) >= self.keys.size:
            self.merge()

    def merge(self) -> None:
        """Bring `keys` and `floor` up to date."""
        if not self._waiting:
            return
        queries, keys = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting.clear()
        order = np.argsort(queries, kind="stable")
        queries, keys = queries[order], keys[order]
        place = np.arange(len(queries)) - np.searchsorted(queries, queries)  # of an offer among its query's
        k = self.keys.shape[1]
        for first in range(0, int(place.max(initial=-1)) + 1, k):  # k at a time: memory is bounded
            chosen = (place >= first) & (place < first + k)
            self._merge(queries[chosen], keys[chosen], place[chosen] - first)
        self.floor = unpack(self.keys[:, -1])[0]

    def _merge(self, queries: NDArray[np.int64], keys: Keys, place: NDArray[np.int64]) -> None:
        k = self.keys.shape[1]
        affected, number = np.unique(queries, return_inverse=True)
        wide: Keys = np.full((len(affected), k + int(place.max()) + 1), EMPTY)
        wide[:, :k] = self.keys[affected]
        wide[number, k + place] = keys
        wide.sort(axis=1)
        self.keys[affected] = wide[:, :k]
