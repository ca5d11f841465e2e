import numpy as np
import pytest

from trace_retriever.evaluation import significance

OPTIONS = {"resamples": 500, "seed": 3}


def covers(interval: significance.Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def test_the_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    found = [
        covers(significance.mean_interval(rng.random(150) < 0.7, resamples=300, seed=trial), 0.7)
        for trial in range(200)
    ]
    assert 0.90 <= np.mean(found) <= 0.99


def test_the_hierarchical_interval_is_wider_than_one_over_queries_when_seeds_differ() -> None:
    rng = np.random.default_rng(1)
    seeds = np.stack([rng.random(300) < rate for rate in (0.5, 0.6, 0.7, 0.8)])
    whole = significance.hierarchical_interval([seeds], **OPTIONS)
    alone = significance.mean_interval(seeds.mean(axis=0), **OPTIONS)
    assert whole.mean == pytest.approx(seeds.mean())
    assert whole.high - whole.low > 2 * (alone.high - alone.low)


def test_the_hierarchical_interval_covers_about_as_often_as_it_says() -> None:
    """Seeds and queries both vary; few seeds make a bootstrap too narrow, so eight are drawn here."""
    rng = np.random.default_rng(2)
    found = []
    for trial in range(120):
        rates = np.clip(0.6 + 0.1 * rng.normal(size=(8, 1)) + 0.2 * rng.normal(size=(1, 200)), 0, 1)
        groups = [(rng.random((8, 200)) < rates).astype(float)]
        found.append(covers(significance.hierarchical_interval(groups, resamples=200, seed=trial), 0.6))
    assert 0.85 <= np.mean(found) <= 1.0


def test_hierarchical_resamples_draw_the_seeds_once_for_all_groups() -> None:
    """Seeds that are all right or all wrong, on every pair alike: averaging over pairs narrows nothing."""
    group = np.repeat([[1.0], [0.0], [1.0], [0.0]], 50, axis=1)
    one = significance.hierarchical_means([group], **OPTIONS)
    four = significance.hierarchical_means([group] * 4, **OPTIONS)
    assert four.std() == pytest.approx(one.std(), rel=0.1)


def test_pairing_removes_what_queries_share() -> None:
    rng = np.random.default_rng(3)
    hard = rng.random(200) < 0.5
    ours, theirs = hard.astype(float), hard.astype(float)
    theirs[:10] = 0
    found = significance.paired_difference(ours, theirs, **OPTIONS)
    assert found.mean == pytest.approx((ours - theirs).mean())
    unpaired = np.sqrt(2 * 0.25 / 200) * 2 * 1.96  # width if the two were drawn apart
    assert found.high - found.low < unpaired / 3


def test_the_average_weighs_pairs_alike_whatever_their_size() -> None:
    found = significance.average_interval([np.ones(10), np.zeros(1000)], **OPTIONS)
    assert found == significance.Interval(0.5, 0.5, 0.5)


def test_equal_seeds_give_equal_intervals_and_one_value_has_no_spread() -> None:
    values = np.random.default_rng(4).random(50)
    assert significance.mean_interval(values, **OPTIONS) == significance.mean_interval(values, **OPTIONS)
    assert significance.mean_interval([1.0], **OPTIONS) == significance.Interval(1.0, 1.0, 1.0)


def test_batches_of_resamples_do_not_change_the_hierarchical_bootstrap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = np.random.default_rng(5).random((3, 40))
    whole = significance.hierarchical_means([values], **OPTIONS)
    monkeypatch.setattr(significance, "BATCH_VALUES", 800)
    np.testing.assert_allclose(significance.hierarchical_means([values], **OPTIONS), whole)
