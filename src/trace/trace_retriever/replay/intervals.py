"""What the size of a test set alone makes of a published figure, and of the difference of two.

A published R@k is a share of n queries. Had other queries been drawn, it would be another share: its
standard error is sqrt(p (1 - p) / n). That says nothing of training seeds, prompts or tuning, which move
figures too and of which nothing is published: a difference beyond these errors is not yet one between
methods, but one within them is no evidence.

Two models are asked the same queries, so their errors are not independent. With p the share found by each, d
the difference and w the share of queries on which they disagree, the paired variance is (w - d^2) / n, with
|d| <= w <= min(p1 + p2, 2 - p1 - p2). w is not published. Independent errors are an upper bound as long as
what is hard for one model is not easy for the other; nested ones (w = |d|: one model finds all that the other
does) are the least possible.
"""

import math
from dataclasses import dataclass
from typing import Literal

Size = Literal["beyond", "depends", "within"]
Z95 = 1.959964


def standard_error(share: float, count: int) -> float:
    """Standard error of a share of `count` queries, in shares of one."""
    return math.sqrt(share * (1 - share) / count)


@dataclass(frozen=True)
class Difference:
    """Two models' shares of the same queries: `first` - `second`.

    Attributes:
        name: what is compared.
        first, second: shares of one.
        count: test queries.
    """

    name: str
    first: float
    second: float
    count: int

    @property
    def value(self) -> float:
        """The difference."""
        return self.first - self.second

    @property
    def error(self) -> float:
        """Its standard error if the two were measured on queries of their own: the upper bound."""
        squares = (standard_error(share, self.count) ** 2 for share in (self.first, self.second))
        return math.sqrt(sum(squares))

    @property
    def least_error(self) -> float:
        """Its standard error if one model finds all that the other one does: the lower bound."""
        distance = abs(self.value)
        return math.sqrt((distance - distance**2) / self.count)

    @property
    def size(self) -> Size:
        """Against 1.96 standard errors: beyond the upper bound, within even the lower one, or between."""
        if abs(self.value) > Z95 * self.error:
            return "beyond"
        return "within" if abs(self.value) <= Z95 * self.least_error else "depends"

    @property
    def p_value(self) -> float:
        """Two-sided, of the normal approximation with independent errors."""
        from scipy.stats import norm

        return float(2 * norm.sf(abs(self.value) / self.error)) if self.error else float(self.value == 0)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the normal approximation with independent errors."""
        return self.value - Z95 * self.error, self.value + Z95 * self.error


@dataclass(frozen=True)
class MeanDifference:
    """The plain mean of differences over pairs, whose queries are not shared."""

    parts: tuple[Difference, ...]

    @property
    def value(self) -> float:
        """The mean, in shares of one."""
        return sum(part.value for part in self.parts) / len(self.parts)

    @property
    def error(self) -> float:
        """Its standard error, of independent pairs and models."""
        return math.sqrt(sum(part.error**2 for part in self.parts)) / len(self.parts)
