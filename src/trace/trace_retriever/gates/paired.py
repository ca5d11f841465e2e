"""Statistics of gates: paired bootstrap over queries, Holm's correction, intervals of shares."""

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def resampled_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means of bootstrap resamples of some values: float [resamples].

    How often each distinct value is drawn is multinomial, so this is the ordinary bootstrap without drawing
    single queries; a difference of hits has three values, which makes 50,000 queries as cheap as 50.

    Args:
        values: one a query; at least one.
        resamples: how many.
        rng: source of randomness.
    """
    distinct, counts = np.unique(values, return_counts=True)
    drawn = rng.multinomial(len(values), counts / len(values), size=resamples)
    means: Floats = drawn @ distinct / len(values)
    return means


def rng_for(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for each name, so that adding a pair leaves the draws of the others alone."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def p_not_above(means: Floats, bound: float) -> float:
    """One-sided bootstrap p-value of "the mean is at most `bound`": small when nearly all lie above.

    The one added to both counts (Davison & Hinkley 1997, section 4.2) keeps it above zero.
    """
    return float((1 + np.count_nonzero(means <= bound + 1e-12)) / (1 + len(means)))


def percentile_interval(means: Floats, level: float = 0.95) -> tuple[float, float]:
    """Two-sided percentile interval."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def share_interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share; see `scipy.stats.binomtest`."""
    from scipy.stats import binomtest

    found = binomtest(hits, count).proportion_ci(confidence_level=level, method="wilson")
    return float(found.low), float(found.high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down adjusted p-values (Holm 1979): those below a level are rejected at it, family-wise.

    The i-th smallest of m (from 0) is multiplied by m - i; each is at least the one before it and at most 1.
    """
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    adjusted: dict[str, float] = {}
    running = 0.0
    for place, name in enumerate(ordered):
        running = max(running, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p_values}
