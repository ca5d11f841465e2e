"""Greedy choice of the next token.

Shape legend: N rows, V vocabulary.
"""

from typing import Any

import torch

from trace_retriever.model.bundle import TraceModel


def choose(logits_NV: torch.Tensor, banned: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The most probable token of each row and its natural log-probability under the whole vocabulary.

    Args:
        logits_NV: float32.
        banned: a token that is not to be chosen.
    """
    total_N = logits_NV.logsumexp(-1)
    if banned is not None:
        logits_NV = logits_NV.clone()
        logits_NV[:, banned] = -torch.inf
    best_N, tokens_N = logits_NV.max(-1)
    return tokens_N, best_N - total_N


def special_ids(model: TraceModel) -> frozenset[int]:
    """Tokens that have no place in a trace: all special ones but `<|emb|>`, and placeholders of pictures."""
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    config: Any = model.config
    placeholders = {getattr(config, name, None) for name in names}
    return frozenset({*model.tokenizer.all_special_ids, *placeholders} - {model.emb_id, None})
