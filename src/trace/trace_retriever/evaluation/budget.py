"""Choosing the route's threshold on P(`<|emb|>`) so that a query costs no more than a budget allows.

Shape legend: T thresholds, ascending; Q queries. Recall and cost are means over pairs, as in M-BEIR's
average: those of traffic that asks every pair equally often.
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trace_retriever.config.evaluate import RouteBudget, RouteCost
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.evaluation.outcomes import TOKENS, Cost, averages
from trace_retriever.evaluation.systems import Routing
from trace_retriever.io.files import read_json
from trace_retriever.io.jsonl import describe

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
ALWAYS = 2.0  # no probability reaches it
SAME = 1e-9  # figures that differ by less are equal


def cost_of(budget: RouteBudget | None) -> Cost:
    """The cost model in which a budget is given.

    Raises:
        DataError: its file is missing or holds no cost model.
    """
    if budget is None or budget.milliseconds is None:
        return TOKENS
    found = budget.cost or _read_cost(Path(budget.cost_file or ""))
    return Cost(found.direct_ms, found.trace_token_ms, "milliseconds")


def _read_cost(path: Path) -> RouteCost:
    content = read_json(path)
    raw = content.get("route_cost") if isinstance(content, dict) else None
    try:
        return RouteCost.model_validate(raw)
    except ValidationError as error:
        remedy = "its key `route_cost` holds `direct_ms` and `trace_token_ms`"
        raise DataError(f"no cost model: {describe(error)}", where=path, remedy=remedy) from None


def limit_of(budget: RouteBudget | None) -> float | None:
    """The most that a query may cost; None where nothing limits it."""
    if budget is None:
        return None
    return budget.tokens if budget.milliseconds is None else budget.milliseconds


def choose_route(table: "pd.DataFrame", cost: Cost, limit: float | None) -> tuple[Routing, dict[str, Any]]:
    """The route that finds most within a limit; of equal ones the cheapest, and of those the model's own.

    All thresholds that route any of these queries differently are tried, and the model's own route.

    Args:
        table: the queries that choose; see `outcomes.outcomes`.
        cost: the cost model.
        limit: the most that a query may cost in the mean over pairs; None for no limit.

    Returns:
        The route, and a record of the choice: threshold, limit, cost (the model), queries, tried, expected.

    Raises:
        ConfigError: even without any trace the limit is exceeded.
    """
    thresholds_T = cut_points(table["p_emb"].to_numpy(np.float64))
    headline_T, tokens_T = mean_curve(table, thresholds_T)
    cost_T = cost.base + cost.token * tokens_T
    within_T = cost_T <= (np.inf if limit is None else limit + SAME)
    if not within_T.any():
        raise ConfigError(
            f"a budget of {limit} {cost.unit} is below the {cost_T[0]:g} of a query without any trace",
            remedy="raise evaluate.route_budget",
        )
    best = headline_T[within_T].max()
    place = int(
        np.flatnonzero(within_T & (headline_T >= best - SAME))[0]
    )  # costs ascend: the first is cheapest
    routing = Routing(float(thresholds_T[place]))
    own = averages(table, Routing().reasons(table), cost)
    if own["headline"] >= best - SAME and own["cost"] <= cost_T[place] + SAME:
        routing = Routing()
    return routing, {
        "threshold": routing.threshold,
        "limit": limit,
        "cost": asdict(cost),
        "queries": len(table),
        "tried": len(thresholds_T),
        "expected": averages(table, routing.reasons(table), cost),
    }


def cut_points(p_emb: Floats) -> Floats:
    """A threshold for each way to part these probabilities, ascending, [distinct + 1].

    The first, 0, lets no query reason, the last all. Others lie halfway between neighbours in log-odds, so
    that rounding on another machine moves no query across, and are float32, as what they are compared with.
    """
    from scipy.special import expit, logit

    distinct = np.unique(p_emb)
    low, high = distinct[:-1], distinct[1:]
    odds = logit(np.clip(distinct, 1e-300, 1 - 1e-16))
    middle = expit((odds[:-1] + odds[1:]) / 2).astype(np.float32).astype(np.float64)
    inside = np.where((middle > low) & (middle <= high), middle, high)
    return np.concatenate([[0.0], inside, [ALWAYS]])


def mean_curve(table: "pd.DataFrame", thresholds_T: Floats) -> tuple[Floats, Floats]:
    """Headline hit and trace tokens a query at each threshold, exact, means over pairs, [T] each."""
    headlines, tokens = [], []
    for _, rows in table.groupby("pair", sort=False):
        rows = rows.sort_values("p_emb", kind="stable")
        reasoning_T = np.searchsorted(rows["p_emb"].to_numpy(np.float64), thresholds_T, side="left")
        gained = np.concatenate([[0.0], np.cumsum(rows["reasoned"] - rows["direct"])])
        spent = np.concatenate([[0.0], np.cumsum(rows["tokens"])])
        headlines.append((rows["direct"].sum() + gained[reasoning_T]) / len(rows))
        tokens.append(spent[reasoning_T] / len(rows))
    return np.mean(headlines, axis=0), np.mean(tokens, axis=0)
