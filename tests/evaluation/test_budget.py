from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluation.made_outcomes import outcomes_of, random_outcomes

from trace_retriever.config import load_section
from trace_retriever.config.evaluate import RouteBudget, RouteCost
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.evaluation.budget import choose_route, cost_of, cut_points, limit_of, mean_curve
from trace_retriever.evaluation.outcomes import AVERAGE, TOKENS, Cost, averages, figures
from trace_retriever.evaluation.systems import Routing
from trace_retriever.io.files import write_json

# The trace helps the first two, the third at a loss to nobody, and harms the others.
HELPS_WHERE_LOW = outcomes_of("mojihop_task1", [1e-6, 1e-4, 0.01, 0.2, 0.9], [0, 0, 1, 1, 1], [1, 1, 1, 0, 0])


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_is_what_each_threshold_gives(seed: int) -> None:
    table = random_outcomes(seed)
    thresholds = cut_points(table["p_emb"].to_numpy())
    headline, tokens = mean_curve(table, thresholds)
    for place, threshold in enumerate(thresholds):
        found = averages(table, Routing(threshold).reasons(table), TOKENS)
        assert (headline[place], tokens[place]) == pytest.approx((found["headline"], found["trace_tokens"]))


@pytest.mark.parametrize(
    "p_emb",
    [[0.5], [0.0, 1.0], [0.0, 1e-30, 1.0], [0.3, 0.3, 0.3], [1 - 6e-8, 1.0], list(np.linspace(0, 1, 50))],
)
def test_cut_points_part_the_queries_in_every_way(p_emb: list[float]) -> None:
    values = np.asarray(p_emb, np.float32).astype(np.float64)
    thresholds = cut_points(values)
    assert list(thresholds) == sorted(thresholds)
    reasoning = [int((values < threshold).sum()) for threshold in thresholds]
    assert reasoning == [0, *np.cumsum(np.unique(values, return_counts=True)[1])]


def test_without_a_budget_the_best_threshold_is_taken_and_of_equals_the_cheapest() -> None:
    routing, record = choose_route(HELPS_WHERE_LOW, TOKENS, None)
    assert routing.threshold is not None
    assert 1e-4 < routing.threshold <= 0.01
    assert record["expected"] == pytest.approx(
        {"headline": 1.0, "reasoning_rate": 0.4, "trace_tokens": 4.0, "cost": 4.0}
    )
    assert (record["tried"], record["queries"], record["limit"]) == (6, 5, None)


@pytest.mark.parametrize(
    ("limit", "rate", "headline"), [(0, 0, 0.6), (1.9, 0, 0.6), (2, 0.2, 0.8), (9, 0.4, 1)]
)
def test_a_budget_is_kept_to_the_token(limit: float, rate: float, headline: float) -> None:
    _, record = choose_route(HELPS_WHERE_LOW, TOKENS, limit)
    assert record["expected"]["reasoning_rate"] == pytest.approx(rate)
    assert record["expected"]["headline"] == pytest.approx(headline)
    assert record["expected"]["cost"] <= limit


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [None, 0.0, 3.0, 8.0, 100.0])
def test_no_other_threshold_within_the_budget_is_better(seed: int, limit: float | None) -> None:
    table = random_outcomes(seed)
    _, record = choose_route(table, TOKENS, limit)
    mine = record["expected"]
    for threshold in np.linspace(0, 1.1, 111):
        other = averages(table, Routing(threshold).reasons(table), TOKENS)
        if limit is None or other["cost"] <= limit:
            assert mine["headline"] > other["headline"] - 1e-9
            if mine["headline"] < other["headline"] + 1e-9:
                assert mine["cost"] <= other["cost"] + 1e-9


def test_the_models_own_route_stays_where_no_threshold_does_better() -> None:
    table = outcomes_of("mojihop_task1", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], [1, 1, 0, 0])
    routing, record = choose_route(table, TOKENS, None)
    assert routing == Routing()
    assert record["threshold"] is None


def test_pairs_weigh_alike_whatever_their_size() -> None:
    large = outcomes_of("mojicap_task0", [0.001] * 30, [1] * 30, [0] * 30)
    both = pd.concat([HELPS_WHERE_LOW, large], ignore_index=True)
    means = figures(both, np.ones(len(both), dtype=bool), TOKENS)
    assert means.loc[AVERAGE, "headline"] == pytest.approx((0.6 + 0.0) / 2)


def test_milliseconds_are_a_base_and_a_price_a_token() -> None:
    budget = RouteBudget(milliseconds=8.0, cost=RouteCost(direct_ms=5.0, trace_token_ms=1.5))
    cost = cost_of(budget)
    assert cost == Cost(5.0, 1.5, "milliseconds")
    _, record = choose_route(HELPS_WHERE_LOW, cost, limit_of(budget))
    assert record["expected"]["trace_tokens"] == pytest.approx(2.0)
    assert record["expected"]["cost"] == pytest.approx(8.0)


def test_a_budget_below_the_cost_of_direct_answers_is_an_error() -> None:
    with pytest.raises(ConfigError, match="below the 5 of a query without any trace"):
        choose_route(HELPS_WHERE_LOW, Cost(5.0, 1.0, "milliseconds"), 4.0)


def test_a_cost_model_comes_from_a_benchmarks_file(tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    write_json(path, {"route_cost": {"direct_ms": 6.0, "trace_token_ms": 2.0}, "machine": {}})
    assert cost_of(RouteBudget(milliseconds=9.0, cost_file=str(path))) == Cost(6.0, 2.0, "milliseconds")


@pytest.mark.parametrize(
    "content", [{}, [], {"route_cost": {"direct_ms": 6.0}}, {"route_cost": {"direct_ms": -1.0}}]
)
def test_a_file_without_a_cost_model_is_named(tmp_path: Path, content: object) -> None:
    path = tmp_path / "engine.json"
    write_json(path, content)
    with pytest.raises(DataError, match="no cost model") as caught:
        cost_of(RouteBudget(milliseconds=9.0, cost_file=str(path)))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{}", "either in tokens or in milliseconds"),
        ("{tokens: 1, milliseconds: 2}", "either in tokens or in milliseconds"),
        ("{milliseconds: 2}", "need one cost model"),
        ("{tokens: 2, cost_file: a.json}", "need one cost model"),
        ("{tokens: -1}", "greater than or equal to 0"),
    ],
)
def test_a_budget_has_one_unit_and_what_it_needs(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_section("evaluate", None, [f"evaluate.route_budget={given}"])
