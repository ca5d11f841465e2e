"""One forward over a batch of prompts: last states, first-token logits and what a row needs to go on from.

Shapes: B rows, T positions (padded on the right), H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.vision import VisionCache, as_outputs
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import pad
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import logits


@dataclass(kw_only=True)
class Prefilled:
    """A batch after its prompts.

    Attributes:
        states_BH: last-layer states at the prompts' last tokens.
        logits_BV: what they predict, float32.
        lengths: tokens of each prompt.
        positions: the M-RoPE position of each row's next token (words go on from a picture's largest).
        cache: transformers' KV cache [B, heads, T, size] a layer; None if nothing will be decoded.
    """

    states_BH: torch.Tensor  # noqa: N815 - shape suffixes
    logits_BV: torch.Tensor  # noqa: N815
    lengths: list[int]
    positions: list[int]
    cache: Any


@torch.inference_mode()
def prefill(
    model: TraceModel, vision: VisionCache, prompts: Sequence[Prompt], counters: Counters, *, keep_cache: bool
) -> Prefilled:
    """Run the language model over prompts; `lm_head` sees the last positions only.

    Padding stands on the right, where causal attention hides it from the tokens of its row: no mask is
    needed.

    Raises:
        CheckpointError: a state is not finite.
    """
    from transformers import DynamicCache

    network: Any = model.network
    grids = [prompt.grid for prompt in prompts]
    merge = model.pictures.spec.merge_size
    batch = pad([prompt.ids for prompt in prompts], grids, model.image_id, model.pad_id, merge, "right")
    lengths_B, positions = batch["lengths"], batch["position_ids"].amax(dim=(0, 2)) + 1
    counters.prefill_calls += 1
    counters.prefill_slots += batch["input_ids"].numel()
    counters.prefill_tokens += int(lengths_B.sum())
    cache = DynamicCache(config=model.config.get_text_config()) if keep_cache else None
    states_BTH = network.model(
        input_ids=batch["input_ids"].to(model.device),
        position_ids=batch["position_ids"].to(model.device),
        mm_encoder_outputs=as_outputs(vision.features(prompts)),
        past_key_values=cache,
        use_cache=keep_cache,
    ).last_hidden_state
    states_BH = states_BTH[torch.arange(len(prompts)), lengths_B - 1]
    if not states_BH.isfinite().all():
        raise CheckpointError("the model's states are not finite", remedy="train again, or take float32")
    return Prefilled(
        states_BH=states_BH,
        logits_BV=logits(network, states_BH).float(),
        lengths=lengths_B.tolist(),
        positions=positions.tolist(),
        cache=cache,
    )
