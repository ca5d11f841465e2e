"""A pool of candidates, read block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.search.margin import Rounded, round_to
from trace_retriever.store.matrix import Matrix

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pool:
    """Some rows of a matrix, or all of them; nothing is read before it is asked for.

    Attributes:
        matrix: float16 or float32 [C, D].
        rows: int64 [N], ascending; None for all.
    """

    matrix: Matrix
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.matrix.shape[0] if self.rows is None else len(self.rows)

    def take(self, start: int, stop: int) -> NDArray[Any]:
        """The vectors at places `start` to `stop` of the pool."""
        if self.rows is None:
            return self.matrix[start:stop]
        rows = self.rows[start:stop]
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1:  # neighbours are read as one
            return self.matrix[int(rows[0]) : int(rows[-1]) + 1]
        return self.matrix[rows]

    def gather(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The vectors at some places of the pool; on disk each row is read once."""
        if isinstance(self.matrix, np.ndarray):
            return self.matrix[places if self.rows is None else self.rows[places]]
        unique, inverse = np.unique(places, return_inverse=True)
        found: NDArray[Any] = self.matrix[unique if self.rows is None else self.rows[unique]][inverse]
        return found


@dataclass(frozen=True)
class Block:
    """Neighbouring places of a pool.

    Attributes:
        vectors: [M, D] as stored; None where only the fast form is kept.
    """

    pool: Pool
    start: int
    stop: int
    device: str
    precision: str
    vectors: NDArray[Any] | None = None

    @cached_property
    def fast(self) -> Rounded:
        """The vectors in the fast type, on the device.

        Raises:
            DataError: a vector is not finite.
        """
        values, norms, lost = round_to(to_float32(self._stored(), self.device), self.precision)
        norm = widened(norms).max()
        if not np.isfinite(norm):
            row = self.start + int(np.flatnonzero(~np.isfinite(norms.cpu().numpy()))[0])
            raise DataError(f"the vector at place {row} of the pool is not finite", remedy="embed it again")
        return Rounded(values, float(norm), float(widened(lost).max()))

    def exact(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """The vectors as stored, at places counted from the block's start."""
        return self.pool.gather(places + self.start) if self.vectors is None else self.vectors[places]

    @cached_property
    def in_float32(self) -> "Block":
        """The same block with float32 as its fast type."""
        return Block(self.pool, self.start, self.stop, self.device, "float32", self._stored())

    def kept(self) -> "Block":
        """The block without its stored vectors, to be kept between searches."""
        kept = Block(self.pool, self.start, self.stop, self.device, self.precision)
        kept.__dict__["fast"] = self.fast
        return kept

    def _stored(self) -> NDArray[Any]:
        return self.pool.take(self.start, self.stop) if self.vectors is None else self.vectors


def read_blocks(pool: Pool, size: int, device: str, precision: str) -> Iterator[Block]:
    """The pool's blocks in order, each read when it is reached."""
    for start in range(0, len(pool), size):
        stop = min(start + size, len(pool))
        yield Block(pool, start, stop, device, precision, pool.take(start, stop))


def to_float32(vectors: NDArray[Any], device: str) -> "torch.Tensor":
    """Stored vectors as a float32 tensor on a device; sent as stored, from pinned memory."""
    import torch

    whole = np.ascontiguousarray(vectors)
    tensor = torch.from_numpy(whole if whole.flags.writeable else whole.copy())
    if device != "cpu":
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    return tensor.float()


def widened(norms: "torch.Tensor") -> NDArray[np.float64]:
    """Norms computed in float32, as bounds: a sum of squares may have lost some, small squares all."""
    return norms.cpu().numpy().astype(np.float64) * (1 + 1e-3) + 1e-16
