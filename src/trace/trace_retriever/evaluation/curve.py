"""Recall against cost: the curve over thresholds, the marked points, and what smaller budgets would buy."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from trace_retriever.evaluation.budget import ALWAYS, choose_route, cut_points, mean_curve
from trace_retriever.evaluation.outcomes import Cost, averages, figures_with_intervals
from trace_retriever.evaluation.systems import Flags, Routing

if TYPE_CHECKING:
    import pandas as pd

POINTS = 41  # of the drawn curve
SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)  # budgets of the menu, of what the model's own route costs


def route_curve(
    calibration: "pd.DataFrame",
    scored: "dict[str, pd.DataFrame]",
    routing: Routing,
    cost: Cost,
    *,
    resamples: int,
    seed: int,
) -> "pd.DataFrame":
    """The curve of recall against cost, per pair and in the mean over pairs, and the points of the systems.

    Args:
        calibration: the outcomes whose thresholds are drawn, about equally far apart in cost.
        scored: split → the outcomes that are measured at these thresholds.
        routing: the chosen route.
        cost: the cost model.
        resamples, seed: of the bootstrap.

    Returns:
        Rows: split, pair (`AVERAGE` for the mean), point ("" on the curve, else never, auto, oracle, always,
        budget, or hindsight: reasoning exactly where it helps), threshold (missing where the point has none),
        reasoning_rate, trace_tokens, headline, cost, low, high.
    """
    import pandas as pd

    thresholds = [("", Routing(threshold)) for threshold in _spread(calibration)]
    marked = [("never", Routing(0.0)), ("always", Routing(ALWAYS)), ("auto", Routing()), ("budget", routing)]
    parts = []
    for split, table in scored.items():
        ways: list[tuple[str, float | None, Flags]] = [
            *((point, route.threshold, route.reasons(table)) for point, route in (*thresholds, *marked)),
            *((point, None, reasoning) for point, reasoning in _known(table)),
        ]
        for point, threshold, reasoning in ways:
            found = figures_with_intervals(table, reasoning, cost, resamples=resamples, seed=seed)
            parts.append(found.reset_index().assign(split=split, point=point, threshold=threshold))
    first = ["split", "pair", "point", "threshold"]
    curve = pd.concat([part.astype({"threshold": float}) for part in parts], ignore_index=True)
    return curve[[*first, *(name for name in curve.columns if name not in first)]]


def _known(table: "pd.DataFrame") -> Iterator[tuple[str, Flags]]:
    """Ways to route that need to know more than the model does."""
    if table["true_route"].notna().all():
        yield "oracle", (table["true_route"] == "complex").to_numpy()
    yield "hindsight", (table["reasoned"] > table["direct"]).to_numpy()


def _spread(table: "pd.DataFrame") -> list[float]:
    """Thresholds about equally far apart in mean trace tokens, ends included."""
    thresholds = cut_points(table["p_emb"].to_numpy(np.float64))
    _, tokens = mean_curve(table, thresholds)
    wanted = np.linspace(tokens[0], tokens[-1], POINTS)
    places = np.searchsorted(tokens, wanted).clip(max=len(tokens) - 1)
    return [float(thresholds[place]) for place in sorted({0, *places.tolist(), len(tokens) - 1})]


def menu(calibration: "pd.DataFrame", scored: "pd.DataFrame", cost: Cost) -> list[dict[str, Any]]:
    """What other budgets would buy: each chosen on `calibration`, measured there and on `scored`.

    The budgets lie between the cost of reasoning never and of the model's own route; the last entry has none.

    Returns:
        Entries: limit, threshold, `chosen_on` and `scored` (headline, reasoning_rate, trace_tokens, cost).
    """
    own = averages(calibration, Routing().reasons(calibration), cost)["cost"]
    limits = sorted({cost.base + share * (own - cost.base) for share in SHARES})
    entries = []
    for limit in (*limits, None):
        routing, choice = choose_route(calibration, cost, limit)
        found = averages(scored, routing.reasons(scored), cost)
        entries.append(
            {"limit": limit, "threshold": routing.threshold, "chosen_on": choice["expected"], "scored": found}
        )
    return entries
