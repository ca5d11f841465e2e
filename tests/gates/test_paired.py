from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from trace_retriever.gates.paired import (
    holm,
    p_not_above,
    percentile_interval,
    resampled_means,
    rng_for,
    share_interval,
)


def test_holm_of_a_hand_computed_example() -> None:
    # sorted: a .01 x4 = .04, d .02 x3 = .06, b .03 x2 = .06, c .5 x1 = .5
    found = holm({"a": 0.01, "b": 0.03, "c": 0.5, "d": 0.02})
    assert found == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.5, "d": 0.06})


def test_holm_never_falls_and_never_exceeds_one() -> None:
    # .4 x3 is capped at 1, and those after it are at least as large
    assert holm({"a": 0.4, "b": 0.45, "c": 0.9}) == {"a": 1.0, "b": 1.0, "c": 1.0}
    assert holm({"only": 0.03}) == {"only": 0.03}
    assert holm({}) == {}


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferronis(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, p_value in p_values.items():
        assert p_value <= adjusted[name] <= min(1.0, len(p_values) * p_value) + 1e-12
    order = sorted(p_values, key=lambda name: p_values[name])
    assert all(adjusted[one] <= adjusted[other] for one, other in pairwise(order))


def test_resampled_means_are_those_of_scipys_bootstrap() -> None:
    values = np.repeat([-1.0, 0.0, 1.0], [20, 60, 40])
    own = resampled_means(values, 20_000, np.random.default_rng(0))
    other = bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    )
    assert own.std() == pytest.approx(other.standard_error, rel=0.03)
    interval = other.confidence_interval
    assert percentile_interval(own) == pytest.approx((interval.low, interval.high), abs=0.01)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for number in range(300):
        values = rng.choice([-1.0, 0.0, 1.0], 200, p=[0.1, 0.7, 0.2])
        low, high = percentile_interval(resampled_means(values, 1000, rng_for(number, "pair")))
        covered += low <= 0.1 <= high
    assert 0.91 <= covered / 300 <= 0.98


def test_a_model_at_the_margin_passes_as_seldom_as_the_level_says() -> None:
    rng = np.random.default_rng(4)
    passed = 0
    for number in range(400):
        values = rng.choice([-1.0, 0.0, 1.0], 300, p=[0.15, 0.75, 0.10])  # mean exactly at -0.05
        passed += p_not_above(resampled_means(values, 1000, rng_for(number, "pair")), -0.05) < 0.05
    assert 0.02 <= passed / 400 <= 0.09


def test_p_values_count_ties_against_the_model_and_are_never_zero() -> None:
    means = np.array([-0.05, 0.0, 0.1])
    assert p_not_above(means, -0.05) == pytest.approx(2 / 4)
    assert p_not_above(means, -1.0) == pytest.approx(1 / 4)


def test_draws_depend_on_the_name_and_not_on_the_order() -> None:
    one, other = (rng_for(0, name).random() for name in ("a", "b"))
    assert one != other
    assert rng_for(0, "a").random() == one


def test_wilsons_interval_at_the_ends() -> None:
    low, high = share_interval(0, 20)
    assert (low, round(high, 4)) == (0.0, 0.1611)  # 1.96² / (20 + 1.96²)
