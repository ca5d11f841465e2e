"""Reason, then encode: the one function behind which queries and candidates become vectors (paper, method).

A plain batched engine: prefill, route from the prefill alone, decode the rows that reason. The rule that it
follows: a vector equals the one of a teacher-forced forward over the same trace, whatever the batch was.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from tqdm import tqdm

from trace_retriever.engine.decode import Decoded, decode
from trace_retriever.engine.encoded import Encoded, Reason, Vector
from trace_retriever.engine.plan import batches, windows
from trace_retriever.engine.prefill import Prefilled, prefill
from trace_retriever.io.progress import bar
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import normalise
from trace_retriever.model.items import Item

WINDOW = 4096  # items that are sorted by length together, and held until all of them are done


def encode(
    model: TraceModel,
    items: Sequence[Item],
    *,
    reason: Reason = "auto",
    max_trace_tokens: int | None = None,
    batch_tokens: int = 8192,
    what: str | None = "queries",
) -> Iterator[Encoded]:
    """Encode queries, or candidates (which never reason: `reason="never"`).

    Args:
        model: the model; put into evaluation mode while it works.
        items: what to encode.
        reason: "auto" decodes a trace where the model's first token is not `<|emb|>`; "always" for every
            item, with `<|emb|>` banned as the first token; "never" for none.
        max_trace_tokens: limit of a trace; None takes the model's setting.
        batch_tokens: tokens of a batch, padding and the room for traces included.
        what: the name on the progress bar; None shows none.

    Yields:
        One `Encoded` an item, in input order. The vectors do not depend on how the items are batched, beyond
        rounding (1e-5 in float32).
    """
    limit = model.settings.max_trace_tokens if max_trace_tokens is None else max_trace_tokens
    room = 0 if reason == "never" else limit
    shown: tqdm[Any] | None = None if what is None else bar(what, total=len(items), unit="item")
    with nullcontext() if shown is None else shown:
        for window in windows(len(items), WINDOW):
            results: dict[int, Encoded] = {}
            lengths = [len(model.prompt_ids(items[index])) + room for index in window]
            for batch in batches(lengths, batch_tokens):
                rows = [window[index] for index in batch]
                encoded = encode_batch(model, [items[row] for row in rows], reason=reason, limit=limit)
                results.update(zip(rows, encoded, strict=True))
                if shown is not None:
                    shown.update(len(rows))
            yield from (results[index] for index in window)


@torch.inference_mode()
def encode_batch(model: TraceModel, items: Sequence[Item], *, reason: Reason, limit: int) -> list[Encoded]:
    """Encode items as one batch; see `encode`."""
    training = model.network.training
    model.network.eval()
    try:
        start = prefill(model, items, keep_cache=reason != "never")
        complex_ = (start.logits_BV.argmax(-1) != model.emb_id).tolist()
        reasoning = {"never": [False] * len(items), "auto": complex_, "always": [True] * len(items)}[reason]
        rows = [row for row, wanted in enumerate(reasoning) if wanted]
        decoded = dict(zip(rows, decode(model, start, rows, limit), strict=True))
        return _collect(model, start, complex_, decoded)
    finally:
        model.network.train(training)


def _collect(
    model: TraceModel, start: Prefilled, complex_: list[bool], decoded: dict[int, Decoded]
) -> list[Encoded]:
    direct = unit_vectors(start.states_BH)
    p_emb = start.logits_BV.softmax(-1)[:, model.emb_id].tolist()
    results = []
    for row, vector in enumerate(direct):
        trace = decoded.get(row, Decoded(state=start.states_BH[row]))
        assert trace.state is not None  # decode returns latched rows only
        logprobs = trace.logprobs or [0.0]
        results.append(
            Encoded(
                direct=vector,
                reasoned=unit_vectors(trace.state[None])[0] if trace.tokens else vector,
                route="complex" if complex_[row] else "simple",
                p_emb=p_emb[row],
                trace=model.trace_text(trace.tokens),
                trace_ids=tuple(trace.tokens),
                truncated=trace.truncated,
                confidence=sum(logprobs) / len(logprobs),
                min_logprob=min(logprobs),
            )
        )
    return results


def unit_vectors(states_NH: torch.Tensor) -> Vector:
    """States as float32 rows of unit length."""
    vectors: Vector = normalise(states_NH).cpu().numpy()
    return vectors
