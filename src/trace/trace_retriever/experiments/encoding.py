"""Vectors of given sequences: a prompt and, after it, a trace that somebody wrote; no decoding."""

from collections.abc import Sequence

import numpy as np
import torch

from trace_retriever.engine.encoded import Vector
from trace_retriever.engine.plan import batches
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, normalise
from trace_retriever.model.items import Item
from trace_retriever.model.positions import pooled

BATCH_TOKENS = 8192


@torch.inference_mode()
def read_vectors(
    model: TraceModel, items: Sequence[Item], traces: Sequence[Sequence[int]] | None = None
) -> Vector:
    """Teacher-forced unit vectors, float32 [N, H], read where the model's settings say.

    Args:
        model: the model; its `settings.position` decides.
        items: what the prompts are of.
        traces: tokens after each prompt; None for none at all.
    """
    position = model.settings.position
    mark_id = model.mark_id if position == "structure" else None
    written = traces if traces is not None else [()] * len(items)
    rows = [Row(item, tuple(ids), position == "emb") for item, ids in zip(items, written, strict=True)]
    lengths = [len(model.prompt_ids(row.item)) + len(row.trace_ids) for row in rows]
    found = np.empty((len(rows), model.dim), np.float32)
    for places in batches(lengths, BATCH_TOKENS):
        batch = collate(model, [rows[place] for place in places])
        states = hidden_states(model.network, batch)
        found[places] = normalise(pooled(states, batch, position, mark_id)).cpu().numpy()
    return found
