"""Reason, then encode: the function behind which queries and candidates become vectors (paper, method)."""

from collections.abc import Iterator, Sequence

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


def encode(
    model: TraceModel,
    items: Sequence[Item],
    *,
    reason: Reason = "auto",
    max_trace_tokens: int | None = None,
    batch_tokens: int = 8192,
    slots: int = 64,
    what: str | None = "queries",
) -> Iterator[Encoded]:
    """Encode items with an engine made for this call; see `Engine` and `Engine.encode`."""
    engine = Engine(model, slots=slots, batch_tokens=batch_tokens, max_trace_tokens=max_trace_tokens)
    return engine.encode(items, reason=reason, what=what)
