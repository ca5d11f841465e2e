"""Searching for a system's queries and recording, query by query, how it went."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.evaluation import metrics
from trace_retriever.evaluation.runs import Ranked
from trace_retriever.evaluation.systems import Blend, Flags, vectors
from trace_retriever.evaluation.tasks import Pool, Task
from trace_retriever.search.exact import Found

if TYPE_CHECKING:
    import pandas as pd

HIT_KS = (1, 5, 10, 20, 50)


def retrieve(
    system: str, task: Task, pool: Pool, reasoning: Flags, *, depth: int, blend: Blend | None = None
) -> Found:
    """Search a pool with a system's vectors of a pair's queries; `reasoning` [Q] tells which reason."""
    queries = vectors(system, task.both, reasoning, task.table["confidence"], blend)
    return pool.index.search(queries, depth)


def run_lines(task: Task, pool: Pool, found: Found, run_id: str) -> Iterator[Ranked]:
    """The rankings as lines of a run file."""
    for qid, places, scores in zip(task.table["qid"], found.rows, found.scores, strict=True):
        for rank, (did, score) in enumerate(zip(pool.dids(places), scores, strict=True), start=1):
            yield Ranked(qid, str(did), rank, float(score), run_id, task.pair.task)


def records(system: str, task: Task, pool: Pool, reasoning: Flags, found: Found) -> "pd.DataFrame":
    """One row a query; the columns are those of `evaluation/queries.parquet`.

    `rank` is from 1, or -1 beyond the depth of the search. `route` is the model's own decision (the true
    one for `oracle`, the threshold's for `budget`, "simple" for `encoder`). Trace
    columns tell of the trace that the system used: no tokens, and missing `confidence`, where it used none.
    `trace_exact` is for queries that truly are complex: whether the trace used is the true one, white space
    and case aside.
    """
    import pandas as pd

    relevant = metrics.relevance(pool.dids(found.rows).tolist(), task.positives)
    counts = np.array([len(good) for good in task.positives])
    table = task.table
    return pd.DataFrame(
        {
            "system": system,
            "pool": pool.name,
            "pair": task.pair.name,
            "qid": table["qid"],
            "task_id": task.pair.task,
            "rank": metrics.best_ranks(relevant),
            **{f"hit_{k}": metrics.hits(relevant, k) for k in HIT_KS},
            "headline": metrics.hits(relevant, task.pair.headline_k),
            "recall_10": metrics.recalls(relevant, counts, 10),
            "ndcg_10": metrics.ndcgs(relevant, counts, 10),
            "wrong_modality": metrics.wrong_modality(
                pool.modalities(found.rows), task.pair.candidate_modality.value
            ),
            "reachable": pool.reachable(task.positives) > 0,
            "route": _routes(system, task, reasoning),
            "true_route": [truth.route for truth in task.truths] if task.truths else None,
            "trace_tokens": np.where(reasoning, table["trace_tokens"], 0),
            "truncated": reasoning & table["truncated"].to_numpy(dtype=bool),
            "trace_exact": _exact(system, task, reasoning),
            "p_emb": table["p_emb"],
            "confidence": np.where(reasoning, table["confidence"], np.nan),
        }
    ).astype({"true_route": "object", "trace_exact": "boolean"})


def _routes(system: str, task: Task, reasoning: Flags) -> NDArray[np.str_]:
    if system in ("encoder", "oracle", "budget"):
        return np.where(reasoning, "complex", "simple")
    return task.table["auto_route"].to_numpy(dtype=str)


def _exact(system: str, task: Task, reasoning: Flags) -> list[bool | None]:
    if task.truths is None or system in ("never", "encoder"):
        return [None] * len(task.table)
    written = zip(task.truths, task.table["trace"], reasoning, strict=True)
    return [
        bool(used and same_words(trace, truth.text)) if truth.route == "complex" else None
        for truth, trace, used in written
    ]


def same_words(one: Any, other: Any) -> bool:
    """Whether two traces are the same but for white space and case (a tokenizer may lose either)."""
    return "".join(str(one).split()).casefold() == "".join(str(other).split()).casefold()
