"""The language model over whole prompts: every position at once, keys and values kept where rows go on.

Padding stands on the right, where causal attention hides it from the tokens of its row: no mask is needed.

Shape legend: B rows, T positions (padded), H hidden, K key heads, E size of a head, L layers, P tokens of
all pictures.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from trace_retriever.engine.layers import finish, heads, norm, text_of
from trace_retriever.engine.vision import Features


class PromptPass:
    """Runs a network's language model over batches of prompts.

    Args:
        network: the whole network; stays on its device.

    Raises:
        CheckpointError: a layer's attention is windowed.

    Attributes:
        device: where tokens and positions go.
    """

    def __init__(self, network: Any) -> None:
        self._text = text_of(network)
        config = self._text.config
        self.device: torch.device = self._text.embed_tokens.weight.device
        self._size = (config.num_key_value_heads, self._text.layers[0].self_attn.head_dim)

    def __call__(
        self,
        ids_BT: torch.Tensor,
        positions_3BT: torch.Tensor,
        places_P: torch.Tensor,
        pictures: Sequence[Features],
        *,
        keep: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Compute a batch.

        Args:
            ids_BT: tokens.
            positions_3BT: their M-RoPE positions.
            places_P: where in the flattened batch the pictures' tokens stand, in order.
            pictures: what takes these tokens' place, in order.
            keep: whether keys and values are wanted.

        Returns:
            Last-layer states after the final norm [B, T, H]; keys and values [L, 2, B, K, T, E], or None.
        """
        text = self._text
        states_BTH = text.embed_tokens(ids_BT)
        if pictures:
            tokens_PH = torch.cat([one.tokens_TH for one in pictures])
            states_BTH.flatten(0, 1)[places_P] = tokens_PH.to(states_BTH.dtype)
        cos, sin = text.rotary_emb(states_BTH, positions_3BT)
        angles = cos[:, :, None], sin[:, :, None]
        cache = self._empty(states_BTH) if keep else None
        deep = list(zip(*(one.deep for one in pictures), strict=True))
        for number, layer in enumerate(text.layers):
            states_BTH = _layer(layer, states_BTH, angles, None if cache is None else cache[number])
            if number < len(deep):  # Qwen3-VL: pictures are added to the first layers' states too
                states_BTH.flatten(0, 1)[places_P] += torch.cat(deep[number]).to(states_BTH.dtype)
        return norm(text.norm, states_BTH), cache

    def _empty(self, states_BTH: torch.Tensor) -> torch.Tensor:
        (rows, positions), (count, size) = states_BTH.shape[:2], self._size
        return states_BTH.new_empty(len(self._text.layers), 2, rows, count, positions, size)


def _layer(
    layer: Any,
    states_BTH: torch.Tensor,
    angles: tuple[torch.Tensor, torch.Tensor],
    kept: torch.Tensor | None,
) -> torch.Tensor:
    query, key, value = (part.transpose(1, 2) for part in heads(layer, states_BTH, angles))
    if kept is not None:
        kept[0], kept[1] = key, value
    mixed = F.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=layer.self_attn.scaling, enable_gqa=True
    )
    return finish(layer, states_BTH, mixed.transpose(1, 2).flatten(2))
