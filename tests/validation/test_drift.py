import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from trace_retriever.config.validate import DriftParams
from trace_retriever.validation.drift import categorical, distance, drift_table, numeric, summarise


def test_equal_categories_are_at_distance_zero_and_disjoint_ones_at_one() -> None:
    one, other = categorical(pd.Series(["a", "b", "b"])), categorical(pd.Series(["c"]))
    assert distance(one, one) == 0.0
    assert distance(one, other) == pytest.approx(1.0)


def test_jensen_shannon_of_a_hand_computed_example() -> None:
    half, whole = categorical(pd.Series(["a", "b"])), categorical(pd.Series(["a", "a"]))
    # m = (3/4, 1/4); JS = (KL(half, m) + KL(whole, m)) / 2 in bits
    divergence = 0.5 * (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25)) + 0.5 * np.log2(1 / 0.75)
    assert distance(half, whole) == pytest.approx(np.sqrt(divergence))


@pytest.mark.parametrize("distinct", [20, 100_000])
def test_the_statistic_of_numbers_is_that_of_the_two_samples(distinct: int) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, distinct, 3000), rng.integers(distinct // 5, distinct, 2000)
    truth = ks_2samp(one, other).statistic
    found = distance(numeric(pd.Series(one)), numeric(pd.Series(other)))
    assert found == pytest.approx(truth, abs=1e-12 if distinct == 20 else 2 / 256)


def test_missing_values_are_left_out_and_an_empty_column_is_far_from_any_other() -> None:
    some, none = numeric(pd.Series([1.0, None, 2.0])), numeric(pd.Series([None, None], dtype=float))
    assert some["count"] == 2
    assert distance(none, none) == 0.0
    assert distance(some, none) == 1.0


def test_only_columns_of_both_versions_are_compared() -> None:
    routes = pd.DataFrame({"route": ["simple", "complex"], "pair": ["a", "a"], "confidence": [0.5, 0.7]})
    now = summarise({"routes": routes})
    before = summarise({"routes": routes.assign(route="simple")})
    del before["routes"]["confidence"]
    table = drift_table(now, before, DriftParams(max_js=0.3)).set_index("column")
    assert sorted(table.index) == ["pair", "route"]
    assert table["distance"]["pair"] == 0.0
    assert table["distance"]["route"] > 0.3 == table["threshold"]["route"]
