"""The report's part on route control: recall against cost, the chosen point, and what budgets buy."""

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from trace_retriever.evaluation import route_plots
from trace_retriever.evaluation.outcomes import AVERAGE
from trace_retriever.io.html import figure, join, note, paragraph, table

if TYPE_CHECKING:
    import pandas as pd

Points = dict[tuple[str, str, str], dict[str, Any]]  # (split, pair, point) → a row of the curve

POINTS = ("never", "auto", "budget", "oracle", "always", "hindsight")
ABOUT_THE_DIAL = (
    "One dial: a query is embedded at once if P(<|emb|>) reaches a threshold. The systems never, auto and "
    "always are points of the same model; hindsight reasons exactly where the trace finds what the direct "
    "vector does not, which no router can know. Costs and recall are means over pairs."
)


def route_control(results: dict[str, Any], curve: "pd.DataFrame | None") -> Markup:
    """Recall against cost, and the chosen point.

    Args:
        results: the content of `results.json`.
        curve: see `curve.route_curve`; None where no threshold could be chosen.
    """
    choice, split = results["budget"], results["split"]
    if choice is None or curve is None:
        return paragraph("No threshold: it takes every query's direct and reasoned vector, on two splits.")
    unit, splits = choice["cost"]["unit"], list(dict.fromkeys([choice["split"], split]))
    routes = {pair: about["true_route"] for pair, about in results["pairs"].items()}
    marked = _marked(curve)
    return join(
        note(ABOUT_THE_DIAL),
        paragraph(_chosen(choice, split, marked)),
        figure(
            route_plots.mean_curve(curve, splits, unit, choice["limit"]),
            f"Recall against cost with 95 % intervals, mean over pairs; marked: the systems on {split}",
        ),
        table(_points(marked, splits), caption="The marked points, mean over pairs"),
        table(_menu(choice, split), caption=f"What other budgets buy, each chosen on {choice['split']}"),
        figure(
            route_plots.pair_curves(curve, split, routes, unit), f"Recall against cost, {split}, pair by pair"
        ),
        table(_per_pair(marked, split, routes), caption=f"Headline figure and trace tokens a query, {split}"),
    )


def _marked(curve: "pd.DataFrame") -> Points:
    rows: list[dict[Any, Any]] = curve[curve["point"] != ""].to_dict("records")
    return {(row["split"], row["pair"], row["point"]): row for row in rows}


def _chosen(choice: dict[str, Any], split: str, marked: Points) -> str:
    limit, unit, threshold = choice["limit"], choice["cost"]["unit"], choice["threshold"]
    budget = "No budget was set" if limit is None else f"The budget is {limit:g} {unit} a query"
    rule = "the model's own first token decides" if threshold is None else f"the threshold is {threshold:.3g}"
    mine, wanted = marked[split, AVERAGE, "budget"], choice["expected"]
    return (
        f"{budget}. Chosen on {choice['split']} ({choice['queries']:,} queries, {choice['tried']:,} "
        f"thresholds): {rule}. There it gives {wanted['headline']:.3f} at {wanted['trace_tokens']:.2f} trace "
        f"tokens a query, on {split} {_with_interval(mine)} at {mine['trace_tokens']:.2f}."
    )


def _with_interval(row: dict[str, Any]) -> str:
    return f"{row['headline']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def _points(marked: Points, splits: list[str]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for point in POINTS:
        if (splits[-1], AVERAGE, point) not in marked:
            continue
        row: dict[str, Any] = {"point": point}
        for split in splits:
            found = marked[split, AVERAGE, point]
            row |= {
                f"{split}: headline": _with_interval(found),
                f"{split}: tokens": found["trace_tokens"],
                f"{split}: reasons on": f"{found['reasoning_rate']:.1%}",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _menu(choice: dict[str, Any], split: str) -> "pd.DataFrame":
    import pandas as pd

    unit = choice["cost"]["unit"]
    return pd.DataFrame(
        [
            {
                f"budget, {unit}": "none" if entry["limit"] is None else f"{entry['limit']:.2f}",
                "threshold": "argmax" if entry["threshold"] is None else f"{entry['threshold']:.3g}",
                f"{choice['split']}: headline": entry["chosen_on"]["headline"],
                f"{choice['split']}: {unit}": entry["chosen_on"]["cost"],
                f"{split}: headline": entry["scored"]["headline"],
                f"{split}: {unit}": entry["scored"]["cost"],
            }
            for entry in choice["menu"]
        ]
    )


def _per_pair(marked: Points, split: str, routes: dict[str, str]) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for pair, route in routes.items():
        row: dict[str, Any] = {"pair": pair, "route": route}
        for point in ("never", "auto", "budget", "always"):
            found = marked[split, pair, point]
            row[point] = f"{found['headline']:.3f} at {found['trace_tokens']:.1f}"
        rows.append(row)
    return pd.DataFrame(rows)
