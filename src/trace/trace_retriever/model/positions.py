"""Where in a sequence its embedding is read (paper, the ablation of positions); TRACE reads before `<|emb|>`.

Shape legend: B rows, T padded length, H hidden size.
"""

import torch

from trace_retriever.model.batch import Batch
from trace_retriever.model.forward import last_states
from trace_retriever.model.settings import Position


def pooled(states_BTH: torch.Tensor, batch: Batch, position: Position, mark_id: int | None) -> torch.Tensor:
    """One state a row of a right-padded batch, [B, H]; not normalised.

    Args:
        states_BTH: last-layer states.
        batch: see `collate`; for `emb` its rows are closed (they end in `<|emb|>`).
        position: `before_emb` and `emb` read the last token; `structure` the last sign in the trace that
            opens a part; `mean_trace` and `mean_all` take the mean over the trace, or over prompt and trace.
            Rows without a trace, or without such a sign, are read at their last token (but for `mean_all`).
        mark_id: the id of `settings.MARK`, for `structure`.
    """
    if position in ("before_emb", "emb"):
        return last_states(states_BTH, batch["lengths"])
    weights_BT = _weights(batch, position, mark_id).to(states_BTH)
    return (weights_BT[..., None] * states_BTH).sum(1) / weights_BT.sum(1, keepdim=True)


def _weights(batch: Batch, position: Position, mark_id: int | None) -> torch.Tensor:
    """Which states count, bool [B, T]; at least one a row."""
    columns_1T = torch.arange(batch["input_ids"].shape[1], device=batch["input_ids"].device)[None]
    ends_B1, starts_B1 = batch["lengths"][:, None], batch["prompt_lengths"][:, None]
    inside_BT = columns_1T < ends_B1
    if position == "mean_all":
        return inside_BT
    counted_BT = inside_BT & (columns_1T >= starts_B1)
    if position == "structure":
        marks_BT = counted_BT & (batch["input_ids"] == mark_id)
        last_B1 = (marks_BT * columns_1T).amax(1, keepdim=True)
        counted_BT = marks_BT & (columns_1T == last_B1)
    return torch.where(counted_BT.any(1, keepdim=True), counted_BT, columns_1T == ends_B1 - 1)
