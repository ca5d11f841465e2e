"""Does sight of the target leak into the answers? The overlap with the target, sighted against blind."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from trace_retriever.config.filter import LeakageParams
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.words import ngrams, words


def leakage(
    sighted: Mapping[str, Trace],
    blind: Mapping[str, Trace],
    targets: Mapping[str, str],
    params: LeakageParams,
    seed: int,
) -> dict[str, Any]:
    """Overlap of answers with their targets' texts, over the queries that both teachers answered.

    A right answer overlaps with its target whoever wrote it; what sight of the target adds beyond that is
    what a model without that sight cannot learn to write. So the figure to read is the paired difference.

    Args:
        sighted, blind: qid → trace, by a teacher with and without sight of the target.
        targets: qid → the target's text or description.
        params: length of the word sequences; number of resamples.
        seed: of the resampling.

    Returns:
        `queries`; `sighted`, `blind` and `difference` (sighted minus blind), each {mean, low, high} with a 95
        % percentile bootstrap interval over queries; `verbatim` shares of answers that hold the whole target.
        Or, with fewer than two such queries, `queries` and `not_measured`, the reason.
    """
    shared = sorted(qid for qid in blind if qid in sighted and qid in targets)
    if len(shared) < 2:
        return {
            "queries": len(shared),
            "not_measured": "fewer than two queries have both traces and a target in words",
        }
    seen = np.array([overlap(sighted[qid].answer, targets[qid], params.ngram) for qid in shared])
    unseen = np.array([overlap(blind[qid].answer, targets[qid], params.ngram) for qid in shared])
    return {
        "queries": len(shared),
        "ngram": params.ngram,
        "sighted": _interval(seen, params.resamples, seed),
        "blind": _interval(unseen, params.resamples, seed),
        "difference": _interval(seen - unseen, params.resamples, seed),
        "verbatim": {
            "sighted": _verbatim(sighted, targets, shared),
            "blind": _verbatim(blind, targets, shared),
        },
    }


def overlap(answer: str, target: str, n: int) -> float:
    """Share of the target's word n-grams that the answer holds; shorter targets by their longest n-gram."""
    said, wanted = words(answer), words(target)
    n = max(1, min(n, len(wanted)))
    grams = set(ngrams(wanted, n))
    return len(grams & set(ngrams(said, n))) / len(grams) if grams else 0.0


def _verbatim(traces: Mapping[str, Trace], targets: Mapping[str, str], qids: Sequence[str]) -> float:
    held = [
        f" {' '.join(words(targets[qid]))} " in f" {' '.join(words(traces[qid].answer))} " for qid in qids
    ]
    return float(np.mean(held))


def _interval(values: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    result = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
        batch=100,
        vectorized=True,
    )
    interval = result.confidence_interval
    return {"mean": float(values.mean()), "low": float(interval.low), "high": float(interval.high)}
