"""The figures of a model card: headline per pair and system, read from an evaluation's records."""

from pathlib import Path
from typing import Any

import pandas as pd

from trace_retriever.gates.evidence import read_evidence
from trace_retriever.gates.paired import share_interval


def card_rows(evaluation: Path, system: str, pool: str) -> tuple[list[str], list[dict[str, Any]]]:
    """The table of a card.

    Args:
        evaluation: a directory with `queries.parquet` and `results.json`.
        system: the judged system; it gets 95 % intervals (Wilson's).
        pool: "local" or "global".

    Returns:
        Names of the other systems, and one row a pair: pair, queries, value, low, high, reasoning (share of
        queries that reasoned), others (a figure each, None where not measured), true_route.
    """
    evidence = read_evidence(evaluation)
    records = evidence.queries[evidence.queries["pool"] == pool]
    means = records.pivot_table(
        index="pair", columns="system", values="headline", aggfunc="mean", observed=True
    )
    others = sorted(str(name) for name in means.columns if name != system)
    rows = []
    for pair, own in evidence.rows(system, pool).groupby("pair"):
        low, high = share_interval(int(own["headline"].sum()), len(own))
        rows.append(
            {
                "pair": str(pair),
                "queries": len(own),
                "value": float(own["headline"].mean()),
                "low": low,
                "high": high,
                "reasoning": float((own["route"] == "complex").mean()),
                "others": [_figure(means[name].get(pair)) for name in others],
                "true_route": evidence.true_routes.get(str(pair)),
            }
        )
    return others, rows


def _figure(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
