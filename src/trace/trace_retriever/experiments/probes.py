"""Looks at trained models: other wordings, other traces, candidates that write, traces for another model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.engine.encoded import Vector
from trace_retriever.engine.engine import Engine
from trace_retriever.experiments.encoding import read_vectors
from trace_retriever.experiments.measure import Field, encode_pool, measure, ranks
from trace_retriever.experiments.other_traces import KINDS, other_traces
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.records import CandidateTrace
from trace_retriever.model.bundle import TraceModel
from trace_retriever.training.data import with_text

if TYPE_CHECKING:
    import pandas as pd


def wording(models: Mapping[str, TraceModel], fields: Sequence[Field]) -> "pd.DataFrame":
    """As `measure`, for several models (column `variant`), without the traces' words."""
    import pandas as pd

    tables = [measure(model, fields).assign(variant=name) for name, model in models.items()]
    return pd.concat(tables, ignore_index=True).drop(columns="trace")


def counterfactuals(
    model: TraceModel, fields: Sequence[Field], own: "pd.DataFrame", *, seed: int
) -> "pd.DataFrame":
    """What becomes of a complex query when another trace stands where its own was.

    Args:
        model: the model that wrote the traces.
        fields: its test queries.
        own: `measure`'s table of it.
        seed: of the draws.

    Returns:
        One row a complex query and kind of trace (`other_traces.KINDS`): pair, qid, kind, rank, and `cosine`
        of its vector with that of its own trace.
    """
    import pandas as pd

    parts = []
    for field in (field for field in fields if field.pair.is_complex):
        mine = own[own["pair"] == field.pair.name].set_index("qid").loc[[one.qid for one in field.queries]]
        truths = [truth.text if truth else "" for truth in field.truths]
        written = other_traces(mine["trace"].tolist(), truths, seed=seed)
        pool = encode_pool(model, field)
        base = _forced(model, field, written["own"])
        for kind in KINDS:
            vectors = _forced(model, field, written[kind])
            parts.append(
                pd.DataFrame(
                    {
                        "pair": field.pair.name,
                        "qid": mine.index,
                        "kind": kind,
                        "rank": ranks(vectors, pool, field.columns),
                        "cosine": (vectors * base).sum(axis=1),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def _forced(model: TraceModel, field: Field, traces: Sequence[str]) -> Vector:
    return read_vectors(model, field.items, [model.trace_ids(text) for text in traces])


def candidate_side(model: TraceModel, fields: Sequence[Field], kept: Path) -> "pd.DataFrame":
    """One model's queries among candidates that wrote something first, though it never learnt that.

    Args:
        model: trained with raw candidates.
        fields: its test queries.
        kept: the directory whose `candidates.jsonl` says what candidates could write.

    Returns:
        One row a query: pair, qid, and the rank of its target among candidates that wrote nothing
        (`rank_raw`), what the model itself writes (`rank_written`), the true answer (`rank_answer`) or the
        true whole trace (`rank_full`).
    """
    import pandas as pd

    traces = {trace.did: trace for trace in read_jsonl(kept / "candidates.jsonl", CandidateTrace)}
    parts = []
    for field in fields:
        queries = np.stack([one.vector("auto") for one in Engine(model).encode(field.items, reason="auto")])
        known = [traces[did] for did in field.dids]
        forced = {
            side: read_vectors(model, field.pool, [model.trace_ids(trace.part(side)) for trace in known])
            for side in ("answer", "full")
        }
        written = np.stack([one.reasoned for one in Engine(model).encode(field.pool, reason="always")])
        pools = {"raw": encode_pool(model, field), "written": written, **forced}
        found = {f"rank_{name}": ranks(queries, pool, field.columns) for name, pool in pools.items()}
        parts.append(
            pd.DataFrame({"pair": field.pair.name, "qid": [one.qid for one in field.queries], **found})
        )
    return pd.concat(parts, ignore_index=True)


def two_stage(
    encoders: Mapping[str, TraceModel], fields: Sequence[Field], own: "pd.DataFrame"
) -> "pd.DataFrame":
    """A trace that one model wrote, as words for another that only encodes.

    Args:
        encoders: by the name of the variant.
        fields: the test queries.
        own: `measure`'s table of the model that wrote the traces; where it did not reason there are none.

    Returns:
        One row a query: pair, qid, and for each encoder its rank with the written trace as text
        (`rank_<name>`) and with the true one (`gold_<name>`).
    """
    import pandas as pd

    parts = []
    for field in fields:
        mine = own[own["pair"] == field.pair.name].set_index("qid").loc[[one.qid for one in field.queries]]
        written = mine["trace"].where(mine["reasons"], "").tolist()
        gold = [truth.text if truth else "" for truth in field.truths]
        row: dict[str, object] = {"pair": field.pair.name, "qid": mine.index}
        for name, model in encoders.items():
            pool = encode_pool(model, field)
            for column, texts in (("rank", written), ("gold", gold)):
                items = [with_text(item, text) for item, text in zip(field.items, texts, strict=True)]
                row[f"{column}_{name}"] = ranks(read_vectors(model, items), pool, field.columns)
        parts.append(pd.DataFrame(row))
    return pd.concat(parts, ignore_index=True)
