"""One trained model on the test queries: for each, where its target stands without and with a trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trace_retriever.engine.encoded import Encoded, Vector
from trace_retriever.engine.engine import Engine
from trace_retriever.experiments.encoding import read_vectors
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Query, Truth
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

if TYPE_CHECKING:
    import pandas as pd

Ranks = NDArray[np.int64]


@dataclass(frozen=True)
class Field:
    """A pair's test queries and the pool that they search.

    Attributes:
        items: the queries, ready to encode.
        truths: what is known of each, None in a data set without truth.
        columns: for each query, where its positives stand in the pool.
    """

    pair: Pair
    queries: list[Query]
    items: list[Item]
    truths: list[Truth | None]
    pool: list[Item]
    dids: list[str]
    columns: list[list[int]]


def read_fields(layout: Layout, pairs: Sequence[str], prompt_index: int = 0) -> list[Field]:
    """Some test pairs of a data set.

    Args:
        layout: the data set.
        pairs: their names.
        prompt_index: which of a pair's instructions the queries carry; negative ones count from the last.

    Raises:
        DataError: see `Layout.queries` and `Layout.pool`.
    """
    truth = layout.truth("test") or {}
    return [_field(layout, pair, prompt_index, truth) for pair in layout.pairs("test") if pair.name in pairs]


def _field(layout: Layout, pair: Pair, prompt_index: int, truth: Mapping[str, Truth]) -> Field:
    queries = list(layout.queries(pair, "test"))
    pool = list(layout.pool(pair, "test"))
    place = {candidate.did: at for at, candidate in enumerate(pool)}
    prompt = prompt_index % len(layout.instructions.of(pair))
    return Field(
        pair,
        queries,
        [query_item(layout, query, pair, prompt) for query in queries],
        [truth.get(query.qid) for query in queries],
        [candidate_item(layout, candidate) for candidate in pool],
        [candidate.did for candidate in pool],
        [[place[did] for did in query.pos_cand_list if did in place] for query in queries],
    )


def ranks(queries_QH: Vector, pool_CH: Vector, columns: Sequence[Sequence[int]]) -> Ranks:
    """Rank (from 1) of each query's best positive by inner product; ties count against it.

    Args:
        queries_QH, pool_CH: unit vectors.
        columns: each query's positives in the pool, at least one each.
    """
    scores_QC = queries_QH @ pool_CH.T
    found = np.empty(len(scores_QC), np.int64)
    for row, mine in enumerate(columns):
        others = np.delete(scores_QC[row], mine)
        found[row] = 1 + int((others >= scores_QC[row, list(mine)].max()).sum())
    return found


def encode_pool(model: TraceModel, field: Field) -> Vector:
    """The pool's vectors [C, H]; its candidates reason first where the model's settings say so."""
    if model.settings.candidates == "raw":
        return read_vectors(model, field.pool)
    return np.stack([one.reasoned for one in Engine(model).encode(field.pool, reason="always")])


def encode_queries(model: TraceModel, field: Field) -> tuple[list[Encoded], Vector, Vector]:
    """What each query gives, and its direct and its reasoned vector [Q, H], read where the settings say."""
    mode = "never" if model.settings.kind == "encoder" else "always"
    found = list(Engine(model).encode(field.items, reason=mode))  # type: ignore[arg-type]
    if model.settings.position == "before_emb":
        return found, np.stack([one.direct for one in found]), np.stack([one.reasoned for one in found])
    direct = read_vectors(model, field.items)
    if mode == "never":
        return found, direct, direct
    return found, direct, read_vectors(model, field.items, [one.trace_ids for one in found])


def measure(model: TraceModel, fields: Sequence[Field]) -> "pd.DataFrame":
    """One row a test query.

    Returns:
        pair, qid, `complex` (the true route), held_out (what of it training never shows, joined by spaces),
        p_emb, `reasons` (the model's own route), rank_direct and rank_reasoned (of the best positive in the
        pair's pool), tokens, truncated, `exact` and `answer_exact` (the trace, or its part from the last
        "target" on, is the true one word for word), confidence, trace.
    """
    import pandas as pd

    return pd.concat([_measure(model, field) for field in fields], ignore_index=True)


def _measure(model: TraceModel, field: Field) -> "pd.DataFrame":
    import pandas as pd

    pool = encode_pool(model, field)
    found, direct, reasoned = encode_queries(model, field)
    rows = [_row(one, truth) for one, truth in zip(found, field.truths, strict=True)]
    return pd.DataFrame(rows).assign(
        pair=field.pair.name,
        qid=[query.qid for query in field.queries],
        rank_direct=ranks(direct, pool, field.columns),
        rank_reasoned=ranks(reasoned, pool, field.columns),
    )


def _row(one: Encoded, truth: Truth | None) -> dict[str, object]:
    return {
        "complex": truth is not None and truth.route == "complex",
        "held_out": " ".join(truth.held_out) if truth else "",
        "p_emb": one.p_emb,
        "reasons": one.route == "complex",
        "tokens": one.trace_tokens,
        "truncated": one.truncated,
        "exact": bool(truth and truth.text and one.trace.split() == truth.text.split()),
        "answer_exact": bool(truth and truth.answer and _answer(one.trace) == _answer(truth.text)),
        "confidence": one.confidence,
        "trace": one.trace,
    }


def _answer(text: str) -> list[str]:
    """The words from the last "target" on."""
    return text.rpartition("target")[2].split()
