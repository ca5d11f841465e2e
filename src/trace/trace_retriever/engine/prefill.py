"""One forward over a batch of prompts: last states, first-token logits and the KV cache to decode from.

Shapes: B rows, L positions (left-padded), H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import NETWORK_INPUTS, logits
from trace_retriever.model.items import Item


@dataclass(kw_only=True)
class Prefilled:
    """A batch after its prompts.

    Attributes:
        states_BH: last-layer states at the prompts' last tokens.
        logits_BV: what they predict, float32.
        mask_BL: 1 where the cache holds a token, 0 where it holds padding.
        next_B: the M-RoPE position of the next token (text after a picture goes on at the maximum plus one).
        cache: the KV cache, or None if nothing will be decoded.
    """

    states_BH: torch.Tensor  # noqa: N815 - shape suffixes
    logits_BV: torch.Tensor  # noqa: N815
    mask_BL: torch.Tensor  # noqa: N815
    next_B: torch.Tensor  # noqa: N815
    cache: Any


def prefill(model: TraceModel, items: Sequence[Item], *, keep_cache: bool) -> Prefilled:
    """Run the language model over the items' prompts; `lm_head` sees the last positions only."""
    from transformers import DynamicCache

    network: Any = model.network
    batch = collate(model, [Row(item) for item in items], padding="left")
    inputs = {key: batch[key] for key in NETWORK_INPUTS if key in batch}
    cache = DynamicCache(config=model.config.get_text_config()) if keep_cache else None
    states_BH = network.model(**inputs, past_key_values=cache, use_cache=keep_cache).last_hidden_state[:, -1]
    return Prefilled(
        states_BH=states_BH,
        logits_BV=logits(network, states_BH).float(),
        mask_BL=batch["attention_mask"],
        next_B=batch["position_ids"].amax(dim=(0, 2)) + 1,
        cache=cache,
    )
