"""How sure a figure is: bootstrap intervals over queries, paired differences, and over training seeds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
LEVEL = 95.0
BATCH_VALUES = 5_000_000  # values resampled at a time, to bound memory


@dataclass(frozen=True)
class Interval:
    """A mean and the 95 % interval around it."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def resampled_means(values: ArrayLike, *, resamples: int, seed: int) -> Floats:
    """Means of resamples (with replacement) of the values, [resamples].

    How often each distinct value is drawn is multinomial, so this is the ordinary bootstrap without drawing
    single queries: hits have two values, and 200,000 of them cost what 200 do.
    """
    sample = np.asarray(values, np.float64)
    if not len(sample):
        return np.full(resamples, np.nan)
    distinct, counts = np.unique(sample, return_counts=True)
    rng, step = np.random.default_rng(seed), max(1, BATCH_VALUES // len(distinct))
    sums = [
        rng.multinomial(len(sample), counts / len(sample), size=min(step, resamples - start)) @ distinct
        for start in range(0, resamples, step)
    ]
    means: Floats = np.concatenate(sums) / len(sample)
    return means


def interval(mean: float, distribution: Floats) -> Interval:
    """The percentile interval of a bootstrap distribution."""
    low, high = np.percentile(distribution, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Interval(float(mean), float(low), float(high))


def mean_interval(values: ArrayLike, *, resamples: int, seed: int) -> Interval:
    """Mean over queries of one pair."""
    sample = np.asarray(values, np.float64)
    return interval(float(sample.mean()), resampled_means(sample, resamples=resamples, seed=seed))


def paired_difference(ours: ArrayLike, theirs: ArrayLike, *, resamples: int, seed: int) -> Interval:
    """Mean of ours - theirs over the same queries in the same order (paired bootstrap)."""
    difference = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    return mean_interval(difference, resamples=resamples, seed=seed)


def average_interval(groups: Sequence[ArrayLike], *, resamples: int, seed: int) -> Interval:
    """Plain mean of the groups' means (M-BEIR's average over pairs), queries resampled within each group."""
    means = [float(np.mean(np.asarray(group, np.float64))) for group in groups]
    distributions = [
        resampled_means(group, resamples=resamples, seed=seed + number) for number, group in enumerate(groups)
    ]
    return interval(float(np.mean(means)), np.mean(distributions, axis=0))


def hierarchical_means(groups: Sequence[ArrayLike], *, resamples: int, seed: int) -> Floats:
    """Averages over groups when both training seeds and queries are resampled, [resamples].

    Every seed is scored on the same queries of every group (pair). So a resample draws seeds once, for all
    groups, and queries within each group, takes the mean over the rows and columns drawn, and averages over
    groups.

    Args:
        groups: for each group, values [S, Q]: one row a seed, one column a query.
        resamples, seed: of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    seeds = len(np.asarray(groups[0]))
    seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    total = np.zeros(resamples)
    for group in groups:
        values = np.asarray(group, np.float64)
        queries = values.shape[1]
        step = max(1, BATCH_VALUES // max(queries, 1))
        for start in range(0, resamples, step):
            drawn = seed_weights[start : start + step]
            query_weights = rng.multinomial(queries, np.full(queries, 1 / queries), size=len(drawn)) / queries
            total[start : start + step] += ((drawn @ values) * query_weights).sum(axis=1)
    return total / len(groups)


def hierarchical_interval(groups: Sequence[ArrayLike], *, resamples: int, seed: int) -> Interval:
    """Average over groups, seeds and queries; see `hierarchical_means`. With few seeds a rough guide."""
    mean = float(np.mean([np.asarray(group, np.float64).mean() for group in groups]))
    return interval(mean, hierarchical_means(groups, resamples=resamples, seed=seed))
