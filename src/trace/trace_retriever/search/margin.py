"""How far a fast score may be from the true one, and which arithmetic is the fast one here.

Legend: q query, c candidate, a hat for what a rounded vector is, u unit roundoff, D entries of a vector.

    |q·c - fast(q, c)|  ≤  |q - q̂| |c|  +  |q̂| |c - ĉ|  +  2 D 2^-23 |q̂| |ĉ|  +  u |fast(q, c)|

The first two terms are by Cauchy and Schwarz, with the norms of what rounding took away; the third bounds
sums in float32 in any order (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), with a
factor for units that cut instead of round; the last is the rounding of the result. In float32 only the third
remains. What is too small for a normal float32 may be taken for zero: that is what `TINY` is for.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "float32", "bfloat16"]
SUM = 2.0**-22  # a factor of D
TINY = 1e-30
ROUNDOFF = {"float32": 2.0**-24, "bfloat16": 2.0**-8}


@dataclass(frozen=True)
class Rounded:
    """Vectors in the fast type.

    Attributes:
        values: tensor [M, D].
        norm: float64 [M], or one number that is the largest: |v|, widened by what the sum may lose.
        lost: the same of v - v̂.
    """

    values: "torch.Tensor"
    norm: NDArray[np.float64] | float
    lost: NDArray[np.float64] | float


def round_to(
    vectors: "torch.Tensor", precision: str
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """Vectors [M, D] of float32 in the fast type, their norms and those of what was lost, both [M]."""
    import torch

    norms = torch.linalg.vector_norm(vectors, dim=1)
    if precision == "float32":
        return vectors, norms, torch.zeros_like(norms)
    rounded = vectors.to(torch.bfloat16)
    return rounded, norms, torch.linalg.vector_norm(vectors - rounded, dim=1)


def bound(queries: Rounded, candidates: Rounded, dim: int) -> NDArray[np.float64]:
    """The first three terms of the inequality above, for each query [Q] and any of the candidates."""
    whole_query, whole_candidate = queries.norm + queries.lost, candidates.norm + candidates.lost
    error = queries.lost * candidates.norm + whole_query * candidates.lost
    terms = dim + 2  # and the rounding of the exact score to float32
    return np.asarray(error + terms * SUM * whole_query * whole_candidate + TINY, np.float64)


def threshold(floor: NDArray[np.float32], error: NDArray[np.float64], precision: str) -> NDArray[np.float32]:
    """The least fast score at which the true score may be as large as `floor`, rounded down, [Q]."""
    least = floor - error
    u = ROUNDOFF[precision]
    least = np.where(least > 0, least / (1 + u), least / (1 - u))
    return np.nextafter(least.astype(np.float32), np.float32(-np.inf))


def at_least(fast: NDArray[np.float32], error: NDArray[np.float64], precision: str) -> NDArray[np.float32]:
    """The least true score that goes with a fast score, rounded down, [Q]."""
    least = fast - ROUNDOFF[precision] * np.abs(fast) - error
    return np.nextafter(least.astype(np.float32), np.float32(-np.inf))


@cache
def fast_precision(device: str) -> str:
    """The type in which this device multiplies matrices fastest, measured once a process.

    Which it is changes how long a search takes, never what it finds.
    """
    import torch

    if device != "cpu":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return min(("float32", "bfloat16"), key=_seconds)


def _seconds(precision: str) -> float:
    import torch

    one, other = torch.ones(1024, 256, dtype=getattr(torch, precision)), torch.ones(256, 256)
    other, times = other.to(one.dtype), []
    for _ in range(4):
        started = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - started)
    return min(times)


@contextmanager
def strict_products() -> Iterator[None]:
    """Keep torch from using a shorter type than the one asked for, for which the bound would not hold."""
    import torch

    float32 = torch.get_float32_matmul_precision()
    reduced = torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(float32)
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = reduced
