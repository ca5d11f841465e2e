"""Means and paired differences with 95 % intervals over seeds and queries, and what they say of a claim."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trace_retriever.evaluation.significance import Interval, hierarchical_interval
from trace_retriever.experiments.tables import Groups, Tables

RESAMPLES = 4000
Verdict = Literal["held", "reversed", "not seen", "cannot tell"]


def mean(groups: Groups) -> Interval:
    """The mean over pairs."""
    return hierarchical_interval(groups, resamples=RESAMPLES, seed=0)


def difference(ours: Groups, theirs: Groups) -> Interval:
    """Mean over pairs of ours - theirs; rows are the same seeds, columns the same queries."""
    return mean([one - other for one, other in zip(ours, theirs, strict=True)])


def recall(tables: Tables, name: str, pairs: Sequence[str], *, k: int = 1, system: str = "auto") -> Interval:
    """R@k of a variant, over all its seeds."""
    return mean(tables.hits(name, pairs, k=k, system=system, seeds=tables.seeds[name]))


def gain(
    tables: Tables,
    ours: str,
    theirs: str,
    pairs: Sequence[str],
    *,
    k: int = 1,
    system: str = "auto",
    other: str = "auto",
) -> Interval:
    """Difference in R@k between two variants used in some way, over the seeds that both have."""
    seeds = tables.shared(ours, theirs)
    return difference(
        tables.hits(ours, pairs, k=k, system=system, seeds=seeds),
        tables.hits(theirs, pairs, k=k, system=other, seeds=seeds),
    )


def judge(found: Interval) -> Verdict:
    """Whether a difference bears out a claim that it is above zero.

    `held` and `reversed` when the interval lies on one side of zero;
    `not seen` when it is narrow around zero: within five points; else `cannot tell`, as for an interval
    without width, which comes of too few seeds and queries.
    """
    if found.low == found.high:
        return "cannot tell"
    if found.low > 0:
        return "held"
    if found.high < 0:
        return "reversed"
    return "not seen" if max(abs(found.low), abs(found.high)) <= 0.05 else "cannot tell"


def points(found: Interval, *, sign: bool = False) -> str:
    """A share as percentage points with its interval: `81.2 [78.0, 84.1]`."""
    shape = "+.1f" if sign else ".1f"
    mean_, low, high = (format(100 * value, shape) for value in (found.mean, found.low, found.high))
    return f"{mean_} [{low}, {high}]"


def share(values: Groups) -> float:
    """The plain mean over pairs, seeds and queries."""
    return float(np.mean([group.mean() for group in values]))
