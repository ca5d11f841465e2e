"""Vision towers that attend to all chunks of one length at a time.

A chunk is a picture, or a window of one in Qwen2.5-VL. Without a flash-attention package transformers calls
attention once a chunk: for a batch of 64 pictures, tens of thousands of small calls in a 7B model's tower.

Shape legend: P patches of all pictures, C chunks of one length, T that length, A heads, E size of a head.
"""

import sys
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def attend_by_length(network: Any) -> None:
    """Have the attention layers of a network's vision tower take equally long chunks together."""
    for module in network.model.visual.modules():
        if isinstance(getattr(module, "qkv", None), nn.Linear):
            module.forward = MethodType(_forward, module)


def _forward(
    self: Any,
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: Any,
) -> torch.Tensor:
    qkv = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1))
    query, key, value = qkv.unbind(1)
    turn = sys.modules[type(self).__module__].apply_rotary_pos_emb_vision
    query, key = turn(query, key, *position_embeddings)
    mixed: torch.Tensor = self.proj(attend(query, key, value, cu_seqlens).flatten(1))
    return mixed


def attend(
    query_PAE: torch.Tensor, key_PAE: torch.Tensor, value_PAE: torch.Tensor, ends: torch.Tensor
) -> torch.Tensor:
    """Attention of each patch to those of its chunk.

    Args:
        query_PAE, key_PAE, value_PAE: of all patches.
        ends: where the first chunk starts and where each one ends.
    """
    starts_C, lengths_C = ends[:-1], ends.diff()
    lengths = sorted(set(lengths_C.tolist()))
    if len(lengths) == 1:
        shape = (len(lengths_C), lengths[0], *value_PAE.shape[1:])
        chunks = (part.reshape(shape) for part in (query_PAE, key_PAE, value_PAE))
        return _attend(*chunks).flatten(0, 1)
    out_PAE = torch.empty_like(value_PAE)
    for length in lengths:
        places_CT = starts_C[lengths_C == length, None] + torch.arange(length, device=ends.device)
        out_PAE[places_CT] = _attend(query_PAE[places_CT], key_PAE[places_CT], value_PAE[places_CT])
    return out_PAE


def _attend(query_CTAE: torch.Tensor, key_CTAE: torch.Tensor, value_CTAE: torch.Tensor) -> torch.Tensor:
    query, key, value = (part.transpose(1, 2) for part in (query_CTAE, key_CTAE, value_CTAE))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
