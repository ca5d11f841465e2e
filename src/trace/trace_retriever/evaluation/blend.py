"""Choosing how much of the direct vector to mix into a reasoned one, on a split that is not scored."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.evaluation.metrics import hits, relevance
from trace_retriever.evaluation.systems import Blend, mix, reasons
from trace_retriever.evaluation.tasks import Pool, Task

GRID = np.round(np.linspace(0.0, 1.0, 11), 1)


def choose_blend(tasks: Iterable[tuple[Task, Pool]]) -> tuple[Blend, dict[str, Any]]:
    """The weights with the best average headline on these pairs' queries and local pools.

    A weight is chosen for all queries that reason, and one each for the traces below and above the median
    confidence. Of equal ones the one nearest to the reasoned vector is taken, and two weights only where they
    beat one, so that without any gain the blend is `auto`.

    Returns:
        The weights, and a record of the choice for the report.
    """
    gains_WR, confidence = _gains(tasks)
    single = _best(gains_WR)
    blend = Blend(single, single)
    value = gains_WR[_row(single)].sum()
    if len(confidence) > 1:
        threshold = float(np.median(confidence))
        below = confidence < threshold
        low, high = _best(gains_WR[:, below]), _best(gains_WR[:, ~below])
        split_value = gains_WR[_row(low), below].sum() + gains_WR[_row(high), ~below].sum()
        if split_value > value + 1e-9:
            blend, value = Blend(low, high, threshold), split_value
    by_weight = gains_WR.sum(axis=1)
    return blend, {
        "low": blend.low,
        "high": blend.high,
        "threshold": blend.threshold if np.isfinite(blend.threshold) else None,
        "reasoning_queries": len(confidence),
        "gain_over_auto": float(value - by_weight[-1]),
        "gain_by_weight": {str(w): float(v - by_weight[-1]) for w, v in zip(GRID, by_weight, strict=True)},
    }


def _gains(
    tasks: Iterable[tuple[Task, Pool]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each weight earns with each reasoning query, as part of the average [W, R]; confidences [R]."""
    gains, confidences = [np.zeros((len(GRID), 0))], [np.zeros(0)]
    for task, pool in tasks:
        chosen = np.flatnonzero(reasons("auto", task.table, None))
        positives = [task.positives[query] for query in chosen]
        found = np.zeros((len(GRID), len(chosen)))
        for number, weight in enumerate(GRID):
            queries = mix(task.both[chosen], np.full(len(chosen), weight))
            rows = pool.index.search(queries, task.pair.headline_k).rows
            found[number] = hits(relevance(pool.dids[rows].tolist(), positives), task.pair.headline_k)
        gains.append(found / len(task.table))
        confidences.append(task.table["confidence"].to_numpy(np.float64)[chosen])
    return np.concatenate(gains, axis=1) / max(len(gains) - 1, 1), np.concatenate(confidences)


def _row(weight: float) -> int:
    return int(np.flatnonzero(weight == GRID)[0])


def _best(gains_WR: NDArray[np.float64]) -> float:
    """The weight that earns most; of equal ones the largest."""
    values = gains_WR.sum(axis=1)
    return float(GRID[np.flatnonzero(values >= values.max() - 1e-9)[-1]])
