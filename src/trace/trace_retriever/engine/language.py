"""The language model for one new token a row, on a cache in which every row has a length of its own.

transformers' decoding keeps one length for the whole batch; here its layers are called one by one, with
rotary position, cache and attention between them (Qwen2-VL, Qwen2.5-VL and Qwen3-VL share this form).

Shape legend: N rows, H hidden, K key heads, G query heads a key head, E size of a head, T positions,
L layers.
"""

from typing import Any

import torch
from torch.nn import functional as F

from trace_retriever.engine.choose import choose
from trace_retriever.engine.layers import finish, heads, norm, text_of
from trace_retriever.model.forward import logits


class LanguageStep:
    """Feeds one token to each row and chooses the next.

    Args:
        network: the whole network.
        positions: how many M-RoPE positions there can be.

    Raises:
        CheckpointError: a layer's attention is windowed, which the cache here is not made for.
    """

    def __init__(self, network: Any, positions: int) -> None:
        self._network, self._text = network, text_of(network)
        weight = self._text.embed_tokens.weight
        self.dtype: torch.dtype = weight.dtype
        every = torch.arange(positions, device=weight.device)[None, None]
        # Words have one position on all three axes of M-RoPE, so its angles are a table by position.
        cos, sin = self._text.rotary_emb(weight.new_empty(1, 1, 1), every.expand(3, -1, -1))
        self._cos, self._sin = cos[0, :, None], sin[0, :, None]

    def __call__(
        self, fed_3N: torch.Tensor, cache: torch.Tensor, longest: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Feed a token to each of the first N rows of a cache.

        Args:
            fed_3N: the tokens; their M-RoPE positions; and how many positions of each row's cache are taken,
                which is where the token's keys and values go.
            cache: keys and values [L, 2, rows, K, T, E]; written in place.
            longest: positions to look at: more than each row has taken.

        Returns:
            States [N, H], the tokens that they predict [N] and their log-probabilities [N].
        """
        tokens_N, positions_N, lengths_N = fed_3N
        rows = torch.arange(len(tokens_N), device=tokens_N.device)
        mask = (torch.arange(longest, device=rows.device) <= lengths_N[:, None])[:, None, None]
        angles = self._cos[positions_N], self._sin[positions_N]
        states_NH = self._text.embed_tokens(tokens_N)
        for layer, (keys, values) in zip(self._text.layers, cache, strict=True):
            query, key, value = heads(layer, states_NH, angles)
            keys[rows, :, lengths_N] = key
            values[rows, :, lengths_N] = value
            mixed = F.scaled_dot_product_attention(
                # A key head's query heads go as if they were positions: keys and values are not copied.
                query.view(len(rows), key.shape[1], -1, key.shape[2]),
                keys[: len(rows), :, :longest],
                values[: len(rows), :, :longest],
                attn_mask=mask,
                scale=layer.self_attn.scaling,
            )
            states_NH = finish(layer, states_NH, mixed.flatten(1))
        states_NH = norm(self._text.norm, states_NH)
        return states_NH, *choose(logits(self._network, states_NH).float())
