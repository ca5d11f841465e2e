"""Task-aware sampling: which queries meet in a batch, as a pure function of seed and step.

The paper names task-aware sampling and does not define it. Here:

1. Queries are split into strata, one for each pair and route. A stratum's share of a batch is proportional to
   n^alpha for its n queries, and complex strata together get `complex_share`.
2. A batch is made of runs: `group` queries of one stratum that are neighbours, so that they are each other's
   hard negatives. Strata are given runs by systematic sampling, so that shares hold in each batch to within
   one run.
3. A stratum's runs are taken in a new random order each epoch, cut at a new random place, so that each of its
   queries is seen as often as any other, give or take one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trace_retriever.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Stratum:
    """Queries of one pair and route, in an order in which neighbours stand side by side.

    Attributes:
        name: the pair's name and the route.
        members: the queries' indices.
    """

    name: str
    complex: bool
    members: tuple[int, ...]


@dataclass(frozen=True)
class Draw:
    """One row of a batch: a query's index, and a number from which its random choices follow."""

    index: int
    seed: int


class Sampler:
    """Draws batches.

    Args:
        strata: none of them empty.
        batch: queries of a batch, over all processes.
        steps: how many batches there will be.
        group, alpha, complex_share: see the module; a share of None leaves the routes to alpha.
        seed: the same seed draws the same batches.

    Raises:
        DataError: there is nothing to draw from.
    """

    def __init__(
        self,
        strata: Sequence[Stratum],
        *,
        batch: int,
        steps: int,
        group: int,
        alpha: float,
        complex_share: float | None,
        seed: int,
    ) -> None:
        if not strata:
            raise DataError(
                "no training query is left to draw from", remedy="see `dropped` in the step's metrics"
            )
        self.strata, self.batch, self.group, self.seed = strata, batch, group, seed
        runs = -(-batch // group)
        self._counts = _allocate(shares(strata, alpha, complex_share), runs, steps, seed)
        self._before = np.concatenate([np.zeros((1, len(strata)), np.int64), self._counts.cumsum(axis=0)])

    def draw(self, step: int) -> list[Draw]:
        """The queries of batch number `step` (from 0), neighbours side by side."""
        indices: list[int] = []
        for number, stratum in enumerate(self.strata):
            first = int(self._before[step, number])
            for run in range(first, first + int(self._counts[step, number])):
                indices.extend(self._run(number, stratum, run))
        seeds = np.random.default_rng((self.seed, 1, step)).integers(2**62, size=len(indices))
        rows = [Draw(index, int(seed)) for index, seed in zip(indices, seeds, strict=True)]
        return rows[: self.batch]

    def share(self, step: int, rank: int, world: int) -> list[Draw]:
        """The rows of batch number `step` that process `rank` of `world` trains on: every `world`-th."""
        return self.draw(step)[rank::world]

    def _run(self, number: int, stratum: Stratum, run: int) -> list[int]:
        """Run number `run` of a stratum, counted over all of training."""
        count = len(stratum.members)
        epoch, place = divmod(run, -(-count // self.group))
        random = np.random.default_rng((self.seed, 2, number, epoch))
        offset = int(random.integers(count))
        start = int(random.permutation(-(-count // self.group))[place]) * self.group + offset
        return [stratum.members[(start + i) % count] for i in range(self.group)]


def shares(strata: Sequence[Stratum], alpha: float, complex_share: float | None) -> np.ndarray:
    """Each stratum's share of a batch; they sum to 1."""
    weights = np.array([len(stratum.members) ** alpha for stratum in strata])
    is_complex = np.array([stratum.complex for stratum in strata])
    if complex_share is not None and is_complex.any() and not is_complex.all():
        weights[is_complex] *= complex_share / weights[is_complex].sum()
        weights[~is_complex] *= (1 - complex_share) / weights[~is_complex].sum()
    found: np.ndarray = weights / weights.sum()
    return found


def _allocate(share: np.ndarray, runs: int, steps: int, seed: int) -> np.ndarray:
    """Runs of each stratum in each batch [steps, strata], by systematic sampling: all near their mean."""
    offsets = np.random.default_rng((seed, 0)).random(steps)
    edges = np.concatenate([[0.0], np.cumsum(share)]) * runs
    edges[-1] = runs
    counts: np.ndarray = np.diff(np.ceil(edges[None] - offsets[:, None]).astype(np.int64), axis=1)
    return counts


def neighbour_order(
    pictures: Sequence[str | None], positives: Sequence[Sequence[str]], negatives: Sequence[Sequence[str]]
) -> list[int]:
    """Queries in an order in which neighbours stand side by side, else as they came.

    Neighbours share a picture, or one's negatives hold another's positive (transitively).

    Args:
        pictures, positives, negatives: of each query.
    """
    keys: list[list[str]] = []
    targets = {did for dids in positives for did in dids}
    for picture, right, wrong in zip(pictures, positives, negatives, strict=True):
        shared = [f"candidate {did}" for did in (*right, *wrong) if did in targets]
        keys.append(shared + ([f"picture {picture}"] if picture else []))
    leaders = _components(keys)
    first: Mapping[int, int] = {leader: at for at, leader in reversed(list(enumerate(leaders)))}
    return sorted(range(len(leaders)), key=lambda at: (first[leaders[at]], at))


def _components(keys: Sequence[Sequence[str]]) -> list[int]:
    """The component of each entry, where entries with a key in common are joined (union-find)."""
    parent = list(range(len(keys)))

    def find(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    owner: dict[str, int] = {}
    for at, mine in enumerate(keys):
        for key in mine:
            parent[find(at)] = find(owner.setdefault(key, at))
    return [find(at) for at in range(len(keys))]
