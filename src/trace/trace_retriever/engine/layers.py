"""A layer of the language model in parts: what decoding and prompts have in common, between their attentions.

transformers' own forward does more in Python than a small model's arithmetic takes: masks, caches, outputs
to be recorded. Qwen2-VL, Qwen2.5-VL and Qwen3-VL share the form that is written out here.

Shape legend: ... any leading axes (rows, or rows and positions), H hidden, K key heads, G query heads a key
head, E size of a head.
"""

from typing import Any

import torch
from torch.nn import functional as F

from trace_retriever.errors import CheckpointError

Angles = tuple[torch.Tensor, torch.Tensor]  # cosines and sines, broadcast over heads


def text_of(network: Any) -> Any:
    """A network's language model.

    Raises:
        CheckpointError: a layer's attention is windowed, which nothing here is made for.
    """
    text = network.model.language_model
    if "sliding_attention" in getattr(text.config, "layer_types", ()):
        raise CheckpointError(
            "sliding-window attention is not supported", remedy="switch it off in the model's config.json"
        )
    return text


def heads(
    layer: Any, states: torch.Tensor, angles: Angles
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a layer attends with: queries [..., K x G, E], keys and values [..., K, E].

    Args:
        layer: of the language model.
        states: [..., H], as they come in.
        angles: of the states' positions; queries and keys are turned by them.
    """
    attention = layer.self_attn
    shape = (*states.shape[:-1], -1, attention.head_dim)
    states = norm(layer.input_layernorm, states)
    query, key, value = (
        projection(states).view(shape)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if hasattr(attention, "q_norm"):  # Qwen3
        query, key = norm(attention.q_norm, query), norm(attention.k_norm, key)
    return _rotate(query, *angles), _rotate(key, *angles), value


def finish(layer: Any, states: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """The states after a layer [..., H], from those before it and what its heads attended to."""
    states = states + layer.self_attn.o_proj(mixed)
    after: torch.Tensor = states + layer.mlp(norm(layer.post_attention_layernorm, states))
    return after


def norm(module: Any, states: torch.Tensor) -> torch.Tensor:
    """RMS norm in one call (transformers' module makes seven)."""
    return F.rms_norm(states, module.weight.shape, module.weight, module.variance_epsilon)


def _rotate(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = states.chunk(2, -1)
    return torch.addcmul(states * cos, torch.cat([-high, low], -1), sin)
