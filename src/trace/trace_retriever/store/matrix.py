"""What vectors are to whoever reads them: rows that are asked for, wherever they lie."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Matrix(Protocol):
    """Rows of equal shape that may lie in memory (`np.ndarray` is one) or on disk (`ShardedMatrix`).

    Attributes:
        shape: rows first: (rows, D) for candidates, (rows, 2, D) for queries.
        dtype: float16 or float32.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Some rows in memory: a slice without a step, or row numbers (ascending ones are read fastest)."""
        ...
