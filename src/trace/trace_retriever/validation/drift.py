"""Summaries of columns, and how far two versions of a data set lie apart.

Categories by the Jensen-Shannon distance (base 2, 0 to 1), numbers by the two-sample Kolmogorov-Smirnov
statistic. A number's summary is its exact distribution function at up to `GRID` of its quantiles, so the
statistic is exact for columns of fewer distinct values and off by at most about 1/GRID for others.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from trace_retriever.config.validate import DriftParams

GRID = 256
Statistics = dict[str, dict[str, dict[str, Any]]]

CATEGORIES = {
    "queries": ("split", "pair", "modality", "task_id"),
    "routes": ("route", "pair"),
    "traces": ("pair",),
}
NUMBERS = {
    "queries": ("characters", "positive_count"),
    "routes": ("confidence",),
    "traces": ("reasoning_words", "answer_words", "confidence"),
}


def summarise(tables: Mapping[str, pd.DataFrame]) -> Statistics:
    """Table → column → its summary, as plain data."""
    return {
        table: {column: categorical(frame[column]) for column in CATEGORIES[table]}
        | {column: numeric(frame[column]) for column in NUMBERS[table]}
        for table, frame in tables.items()
    }


def categorical(values: "pd.Series[Any]") -> dict[str, Any]:
    """Counts of a column's values, missing ones left out."""
    counts = values.dropna().astype(str).value_counts()
    return {"kind": "categorical", "counts": {name: int(counts[name]) for name in sorted(counts.index)}}


def categorical_counts(values: Any) -> dict[str, Any]:
    """As `categorical`, of an Arrow column of texts."""
    counts = {row["values"]: row["counts"] for row in values.drop_null().value_counts().to_pylist()}
    return {"kind": "categorical", "counts": dict(sorted(counts.items()))}


def numeric(values: "pd.Series[Any]") -> dict[str, Any]:
    """A column's distribution function at some of its values, missing ones left out."""
    known = np.sort(values.dropna().to_numpy(dtype=np.float64))
    points = np.unique(known)
    if len(points) > GRID:
        points = np.unique(np.quantile(known, np.linspace(0, 1, GRID), method="inverted_cdf"))
    shares = np.searchsorted(known, points, side="right") / max(len(known), 1)
    return {"kind": "numeric", "count": len(known), "values": points.tolist(), "shares": shares.tolist()}


def distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """How far two summaries of one kind lie apart, from 0 (equal) to 1; an empty one is 1 from any other."""
    if one["kind"] == "categorical":
        return _jensen_shannon(one["counts"], other["counts"])
    return _kolmogorov_smirnov(one, other)


def _jensen_shannon(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    from scipy.spatial.distance import jensenshannon

    if not one or not other:
        return float(bool(one) != bool(other))
    names = sorted({*one, *other})
    ours, theirs = ([float(side.get(name, 0)) for name in names] for side in (one, other))
    found = float(jensenshannon(ours, theirs, base=2))
    return found if found > 1e-7 else 0.0  # rounding leaves a root of almost nothing


def _kolmogorov_smirnov(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    if not one["count"] or not other["count"]:
        return float(bool(one["count"]) != bool(other["count"]))
    points = np.union1d(one["values"], other["values"])
    return float(np.abs(_share_below(one, points) - _share_below(other, points)).max())


def _share_below(summary: Mapping[str, Any], points: "np.ndarray[Any, np.dtype[np.float64]]") -> Any:
    steps = np.searchsorted(summary["values"], points, side="right")
    return np.concatenate([[0.0], summary["shares"]])[steps]


def drift_table(now: Statistics, before: Statistics, params: DriftParams) -> pd.DataFrame:
    """One row a column that both versions have: table, column, kind, distance, threshold."""
    rows = []
    for table, columns in sorted(now.items()):
        for column, summary in sorted(columns.items()):
            old = before.get(table, {}).get(column)
            if old is None or old.get("kind") != summary["kind"]:
                continue
            threshold = params.max_js if summary["kind"] == "categorical" else params.max_ks
            row = {"table": table, "column": column, "kind": summary["kind"]}
            rows.append(row | {"distance": distance(summary, old), "threshold": threshold})
    return pd.DataFrame(rows, columns=["table", "column", "kind", "distance", "threshold"])
