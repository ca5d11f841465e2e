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

    Three choices, from plain to fancy: `auto` itself, one weight for all queries that reason, one each for
    traces below and above the median confidence. The next one is taken only where it gains more than the
    standard error of that gain over the one before, so that noise does not choose. Of equal weights the
    largest is taken.

    Returns:
        The weights, and a record of the choice for the report.
    """
    gains_WR, confidence = _gains(tasks)
    auto_R = gains_WR[_row(1.0)]
    blend, earned_R = Blend(), auto_R
    single = _best(gains_WR)
    if _clear_gain(gains_WR[_row(single)] - earned_R):
        blend, earned_R = Blend(single, single), gains_WR[_row(single)]
    if len(confidence) > 1:
        threshold = float(np.median(confidence))
        below = confidence < threshold
        low, high = _best(gains_WR[:, below]), _best(gains_WR[:, ~below])
        split_R = np.where(below, gains_WR[_row(low)], gains_WR[_row(high)])
        if _clear_gain(split_R - earned_R):
            blend, earned_R = Blend(low, high, threshold), split_R
    return blend, {
        "low": blend.low,
        "high": blend.high,
        "threshold": blend.threshold if np.isfinite(blend.threshold) else None,
        "reasoning_queries": len(confidence),
        "gain_over_auto": float((earned_R - auto_R).sum()),
        "gain_by_weight": {str(w): float((v - auto_R).sum()) for w, v in zip(GRID, gains_WR, strict=True)},
    }


def _clear_gain(gain_R: NDArray[np.float64]) -> bool:
    """Whether the sum of paired gains is above its standard error (and above nothing at all)."""
    if not len(gain_R):
        return False
    return bool(gain_R.sum() > max(np.sqrt(len(gain_R)) * gain_R.std(), 1e-9))


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
            found[number] = hits(relevance(pool.dids(rows).tolist(), positives), task.pair.headline_k)
        gains.append(found / len(task.table))
        confidences.append(task.table["confidence"].to_numpy(np.float64)[chosen])
    return np.concatenate(gains, axis=1) / max(len(gains) - 1, 1), np.concatenate(confidences)


def _row(weight: float) -> int:
    return int(np.flatnonzero(weight == GRID)[0])


def _best(gains_WR: NDArray[np.float64]) -> float:
    """The weight that earns most; of equal ones the largest."""
    values = gains_WR.sum(axis=1)
    return float(GRID[np.flatnonzero(values >= values.max() - 1e-9)[-1]])
