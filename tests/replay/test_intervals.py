import numpy as np
import pytest
from scipy.stats import norm

from trace_retriever.replay.intervals import Difference, MeanDifference, standard_error


def test_one_recall_on_cirr_has_an_error_of_three_quarters_of_a_point() -> None:
    assert standard_error(0.5703, 4170) == pytest.approx(0.00767, abs=1e-5)


def test_errors_bound_what_shared_queries_give() -> None:
    """Of two models with equal difficulty in common, the spread of differences lies between the bounds."""
    rng, count = np.random.default_rng(0), 400
    hard = rng.normal(size=(4000, count))
    found = [hard + rng.normal(scale=0.7, size=hard.shape) < at for at in (0.3, 0.0)]
    spread = float((found[0].mean(axis=1) - found[1].mean(axis=1)).std())
    first, second = (float(one.mean()) for one in found)
    difference = Difference("made", first, second, count)
    assert difference.least_error < spread < difference.error


def test_sizes_against_the_bounds() -> None:
    assert Difference("far", 0.6, 0.5, 4000).size == "beyond"
    assert Difference("equal", 0.5, 0.5, 4000).size == "within"
    assert Difference("between", 0.515, 0.5, 4000).size == "depends"
    assert Difference("one query", 0.5002, 0.5, 4000).size == "within"


def test_p_value_and_interval_agree() -> None:
    edge = Difference("edge", 0.5, 0.5 - 0.0219, 4000)
    low, high = edge.interval
    assert low < edge.value < high
    assert edge.p_value == pytest.approx(2 * norm.sf(edge.value / edge.error))
    assert (edge.p_value < 0.05) is (low > 0)


def test_a_mean_of_independent_pairs() -> None:
    parts = (Difference("a", 0.5, 0.4, 100), Difference("b", 0.5, 0.6, 100))
    mean = MeanDifference(parts)
    assert mean.value == pytest.approx(0)
    assert mean.error == pytest.approx(parts[0].error / np.sqrt(2), rel=1e-3)
