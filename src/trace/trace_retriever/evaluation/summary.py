"""From per-query records to figures: per system, pool and pair, averages, and paired differences."""

from typing import TYPE_CHECKING, Any

import numpy as np

from trace_retriever.evaluation.benchmark import Outcome
from trace_retriever.evaluation.curve import menu
from trace_retriever.evaluation.outcomes import Cost, outcomes
from trace_retriever.evaluation.reliability import reliability
from trace_retriever.evaluation.significance import average_interval, mean_interval, paired_difference

if TYPE_CHECKING:
    import pandas as pd

COMPARISONS = (
    ("auto", "never"),
    ("auto", "always"),
    ("auto", "encoder"),
    ("budget", "auto"),
    ("blend", "auto"),
    ("blend", "encoder"),
)
MEASURES = ("headline", "hit_1")


def summarise(outcome: Outcome, *, resamples: int, seed: int) -> dict[str, Any]:
    """The content of `results.json`.

    Args:
        outcome: what an evaluation found.
        resamples, seed: of the bootstrap behind each 95 % interval.

    Returns:
        `systems[system][pool]` with `pairs[pair]` and `average` (plain mean over pairs, M-BEIR's average),
        `differences["a-b"][measure]` with `pairs[pair]` and `average` (local pool), `pairs`, `blend`,
        `budget` with its `menu`, and `router` (see `reliability.reliability`).
    """
    options = {"resamples": resamples, "seed": seed}
    systems: dict[str, Any] = {}
    for (system, pool), rows in outcome.queries.groupby(["system", "pool"], sort=False):
        by_pair = {str(pair): part for pair, part in rows.groupby("pair", sort=False)}
        systems.setdefault(str(system), {})[str(pool)] = {
            "pairs": {pair: _figures(part, options) for pair, part in by_pair.items()},
            "average": {
                measure: average_interval([part[measure] for part in by_pair.values()], **options).as_dict()
                for measure in MEASURES
            },
        }
    return {
        "systems": systems,
        "differences": _differences(outcome.queries, options),
        "pairs": outcome.pairs,
        "blend": outcome.blend,
        **_route(outcome, options),
        "bootstrap": options,
    }


def _route(outcome: Outcome, options: dict[str, int]) -> dict[str, Any]:
    """`budget` and `router`: None without vectors of both kinds, or without the split that chooses."""
    table, routes = outcomes(outcome.queries), {name: it["true_route"] for name, it in outcome.pairs.items()}
    router = None if table is None else reliability(table, routes, **options)
    if table is None or outcome.budget is None or outcome.calibration is None:
        return {"budget": None, "router": router}
    offers = menu(outcome.calibration, table, Cost(**outcome.budget["cost"]))
    return {"budget": outcome.budget | {"menu": offers}, "router": router}


def _figures(rows: "pd.DataFrame", options: dict[str, int]) -> dict[str, Any]:
    """The figures of one system on one pair."""
    figures = {f"hit_{k}": float(rows[f"hit_{k}"].mean()) for k in (1, 5, 10, 20, 50)}
    exact = rows["trace_exact"].dropna()
    return figures | {
        "queries": len(rows),
        "headline": mean_interval(rows["headline"], **options).as_dict(),
        "recall_10": float(rows["recall_10"].mean()),
        "ndcg_10": float(rows["ndcg_10"].mean()),
        "wrong_modality": float(rows["wrong_modality"].mean()),
        "reachable": float(rows["reachable"].mean()),
        "reasoning_rate": float((rows["route"] == "complex").mean()),
        "trace_tokens": float(rows["trace_tokens"].mean()),
        "truncated": float(rows["truncated"].mean()),
        "trace_exact": float(exact.mean()) if len(exact) else None,
    }


def _differences(queries: "pd.DataFrame", options: dict[str, int]) -> dict[str, Any]:
    local = queries[queries["pool"] == "local"]
    present = set(local["system"])
    return {
        f"{ours}-{theirs}": {
            measure: _difference(local, ours, theirs, measure, options) for measure in MEASURES
        }
        for ours, theirs in COMPARISONS
        if {ours, theirs} <= present
    }


def _difference(
    local: "pd.DataFrame", ours: str, theirs: str, measure: str, options: dict[str, int]
) -> dict[str, Any]:
    """Paired differences of a measure, per pair and averaged over pairs."""
    values = local.pivot(index=["pair", "qid"], columns="system", values=measure)[[ours, theirs]].astype(
        float
    )
    pairs = {str(pair): rows for pair, rows in values.groupby(level="pair", sort=True)}
    return {
        "pairs": {
            pair: paired_difference(rows[ours], rows[theirs], **options).as_dict()
            for pair, rows in pairs.items()
        },
        "average": average_interval(
            [rows[ours] - rows[theirs] for rows in pairs.values()], **options
        ).as_dict(),
    }


def metrics(results: dict[str, Any], queries: "pd.DataFrame") -> dict[str, Any]:
    """The step's metrics: few and flat enough for `dvc metrics diff`."""
    systems = results["systems"]
    auto = systems.get("auto", {}).get("local", {}).get("pairs", {})
    accuracy = routing_accuracy(queries)
    known = {} if accuracy is None else {"routing_accuracy": accuracy}
    return (
        known
        | _router_metrics(results)
        | {
            "average": {
                name: pools["local"]["average"]["headline"]["mean"] for name, pools in systems.items()
            },
            "average_r1": {
                name: pools["local"]["average"]["hit_1"]["mean"] for name, pools in systems.items()
            },
            "average_global": {
                name: pools["global"]["average"]["headline"]["mean"]
                for name, pools in systems.items()
                if "global" in pools
            },
            "average_tokens": {
                name: float(np.mean([pair["trace_tokens"] for pair in pools["local"]["pairs"].values()]))
                for name, pools in systems.items()
            },
            "headline": _per_pair(systems, lambda figures: figures["headline"]["mean"]),
            "r1": _per_pair(systems, lambda figures: figures["hit_1"]),
            "reasoning_rate": {pair: figures["reasoning_rate"] for pair, figures in auto.items()},
            "trace_exact": {
                pair: figures["trace_exact"]
                for pair, figures in auto.items()
                if figures["trace_exact"] is not None
            },
            "queries": sum(pair["queries"] for pair in results["pairs"].values()),
        }
    )


def _router_metrics(results: dict[str, Any]) -> dict[str, Any]:
    """The chosen threshold, and how P(`<|emb|>`) orders the gains; what could not be told is left out."""
    found: dict[str, Any] = {}
    if results["budget"] is not None and results["budget"]["threshold"] is not None:
        found["route_threshold"] = results["budget"]["threshold"]
    if results["router"] is not None:
        found["router_correlation"] = {
            name: group["rank_correlation"]["mean"]
            for name, group in results["router"]["groups"].items()
            if group["rank_correlation"] is not None
        }
    return found


def _per_pair(systems: dict[str, Any], pick: Any) -> dict[str, dict[str, float]]:
    return {
        name: {pair: pick(figures) for pair, figures in pools["local"]["pairs"].items()}
        for name, pools in systems.items()
    }


def routing_accuracy(queries: "pd.DataFrame") -> float | None:
    """Share of queries that `auto` routes as is true; None where the truth is not known."""
    rows = queries[(queries["system"] == "auto") & (queries["pool"] == "local")].dropna(subset=["true_route"])
    return float(np.mean(rows["route"] == rows["true_route"])) if len(rows) else None


def plot_table(results: dict[str, Any]) -> "pd.DataFrame":
    """One row per system, pool and pair, for plots: headline with its interval, R@1, reasoning rate."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "system": system,
                "pool": pool,
                "pair": pair,
                "true_route": results["pairs"][pair]["true_route"],
                "headline": figures["headline"]["mean"],
                "low": figures["headline"]["low"],
                "high": figures["headline"]["high"],
                "r1": figures["hit_1"],
                "reasoning_rate": figures["reasoning_rate"],
            }
            for system, pools in results["systems"].items()
            for pool, found in pools.items()
            for pair, figures in found["pairs"].items()
        ]
    )
