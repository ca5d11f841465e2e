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
from trace_retriever.errors import CheckpointError
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
        text = network.model.language_model
        if "sliding_attention" in getattr(text.config, "layer_types", ()):
            raise CheckpointError(
                "sliding-window attention is not supported", remedy="switch it off in the model's config.json"
            )
        self._network, self._text = network, text
        weight = text.embed_tokens.weight
        self.dtype: torch.dtype = weight.dtype
        every = torch.arange(positions, device=weight.device)[None, None]
        # Words have one position on all three axes of M-RoPE, so its angles are a table by position.
        cos, sin = text.rotary_emb(weight.new_empty(1, 1, 1), every.expand(3, -1, -1))
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
            query, key, value = _heads(layer.self_attn, layer.input_layernorm(states_NH), angles)
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
            states_NH = states_NH + layer.self_attn.o_proj(mixed.flatten(1))
            states_NH = states_NH + layer.mlp(layer.post_attention_layernorm(states_NH))
        states_NH = self._text.norm(states_NH)
        return states_NH, *choose(logits(self._network, states_NH).float())


def _heads(
    attention: Any, states_NH: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [N, K x G, E], keys and values [N, K, E], the first two turned to their positions."""
    shape = (len(states_NH), -1, attention.head_dim)
    query, key, value = (
        projection(states_NH).view(shape)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if hasattr(attention, "q_norm"):  # Qwen3
        query, key = attention.q_norm(query), attention.k_norm(key)
    return _rotate(query, *angles), _rotate(key, *angles), value


def _rotate(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = heads.chunk(2, -1)
    return heads * cos + torch.cat([-high, low], -1) * sin
