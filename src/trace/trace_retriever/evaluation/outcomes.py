"""What each query would gain from its trace, and what a way of routing makes of it: recall and cost.

Where every query's direct and reasoned vector are there, both of its outcomes are known: the recall and the
cost of any route are counted, not estimated, and nothing is encoded again.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.evaluation.significance import average_interval, mean_interval
from trace_retriever.evaluation.systems import Flags

if TYPE_CHECKING:
    import pandas as pd

AVERAGE = "average"  # stands for a pair: the plain mean over all pairs


@dataclass(frozen=True)
class Cost:
    """What a query costs: a base, and a price for each token of its trace.

    Attributes:
        unit: "tokens" (base 0, price 1) or "milliseconds".
    """

    base: float = 0.0
    token: float = 1.0
    unit: str = "tokens"


TOKENS = Cost()


def outcomes(records: "pd.DataFrame") -> "pd.DataFrame | None":
    """Both outcomes of each query in its pair's own pool.

    Args:
        records: per-query records; see `scoring.records`.

    Returns:
        One row a query: pair, qid, `p_emb`, `auto_route`, `true_route`, `direct` and `reasoned` (headline hit
        without and with its trace, 0.0 or 1.0), `tokens` (of the trace). None where not both were recorded.
    """
    local = records[records["pool"] == "local"]
    direct, reasoned = (
        local[local["system"] == system].set_index(["pair", "qid"]) for system in ("never", "always")
    )
    if direct.empty or reasoned.empty:
        return None
    return (
        direct[["p_emb", "route", "true_route"]]
        .rename(columns={"route": "auto_route"})
        .assign(
            direct=direct["headline"].astype(float),
            reasoned=reasoned["headline"].astype(float),
            tokens=reasoned["trace_tokens"].astype(float),
        )
        .reset_index()
    )


def figures(table: "pd.DataFrame", reasoning: Flags, cost: Cost) -> "pd.DataFrame":
    """Recall and cost of a route.

    Args:
        table: see `outcomes`.
        reasoning: which queries reason, [Q].
        cost: the cost model.

    Returns:
        Index: the pairs, then `AVERAGE`, the plain mean over them. Columns: reasoning_rate, trace_tokens,
        headline (hit@k), cost; each a mean over queries.
    """
    values = table[["pair"]].assign(
        reasoning_rate=reasoning.astype(float),
        trace_tokens=np.where(reasoning, table["tokens"], 0.0),
        headline=_hits(table, reasoning),
    )
    found = values.groupby("pair", sort=False).mean()
    found.loc[AVERAGE] = found.mean()
    found["cost"] = cost.base + cost.token * found["trace_tokens"]
    return found


def averages(table: "pd.DataFrame", reasoning: Flags, cost: Cost) -> dict[str, float]:
    """The row `AVERAGE` of `figures`, for JSON."""
    [means] = figures(table, reasoning, cost).loc[[AVERAGE]].to_dict("records")
    return {str(name): float(value) for name, value in means.items()}


def figures_with_intervals(
    table: "pd.DataFrame", reasoning: Flags, cost: Cost, *, resamples: int, seed: int
) -> "pd.DataFrame":
    """`figures`, with `low` and `high`: the 95 % bootstrap interval of the headline figure over queries."""
    options = {"resamples": resamples, "seed": seed}
    found = figures(table, reasoning, cost)
    groups = _hits(table, reasoning).groupby(table["pair"], sort=False)
    hits = [values.to_numpy() for _, values in groups]
    intervals = [mean_interval(values, **options) for values in hits]
    intervals.append(average_interval(hits, **options))
    found["low"], found["high"] = [one.low for one in intervals], [one.high for one in intervals]
    return found


def _hits(table: "pd.DataFrame", reasoning: Flags) -> "pd.Series[float]":
    return table["reasoned"].where(reasoning, table["direct"])
