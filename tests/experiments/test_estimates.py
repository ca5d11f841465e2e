"""Means, paired differences and verdicts on figures whose answer is known."""

import numpy as np
import pytest

from trace_retriever.evaluation.significance import Interval
from trace_retriever.experiments.estimates import difference, judge, mean, points, share


def test_a_difference_is_paired_by_seed_and_query() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random((3, 200)) < 0.5
    ours = [hard.astype(float)]
    theirs = [(hard & (rng.random((3, 200)) < 0.9)).astype(float)]
    paired = difference(ours, theirs)
    assert paired.low > 0
    assert paired.high - paired.low < (mean(ours).high - mean(ours).low)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Interval(0.2, 0.1, 0.3), "held"),
        (Interval(-0.2, -0.3, -0.1), "reversed"),
        (Interval(0.0, -0.04, 0.03), "not seen"),
        (Interval(0.1, -0.02, 0.2), "cannot tell"),
        (Interval(0.0, 0.0, 0.0), "cannot tell"),
    ],
)
def test_a_verdict_follows_from_the_interval(found: Interval, verdict: str) -> None:
    assert judge(found) == verdict


def test_points_are_per_cent() -> None:
    assert points(Interval(0.5, 0.25, 0.75)) == "50.0 [25.0, 75.0]"
    assert points(Interval(0.5, -0.25, 0.75), sign=True) == "+50.0 [-25.0, +75.0]"


def test_pairs_count_the_same_however_many_queries_they_have() -> None:
    assert share([np.ones((1, 10)), np.zeros((1, 1000))]) == 0.5
