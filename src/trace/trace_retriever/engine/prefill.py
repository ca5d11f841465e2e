"""One forward over a batch of prompts: last states, first-token logits and what a row needs to go on from.

Shapes: B rows, T positions (padded on the right), H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.prompt_pass import PromptPass
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.vision import VisionCache
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import pad
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import last_states, logits


@dataclass(kw_only=True)
class Prefilled:
    """A batch after its prompts.

    Attributes:
        states_BH: last-layer states at the prompts' last tokens.
        logits_BV: what they predict, float32.
        lengths: tokens of each prompt.
        positions: the M-RoPE position of each row's next token (words go on from a picture's largest).
        cache: keys and values [L, 2, B, K, T, E] (layers, key heads, size of a head); None if nothing will be
            decoded.
    """

    states_BH: torch.Tensor  # noqa: N815 - shape suffixes
    logits_BV: torch.Tensor  # noqa: N815
    lengths: list[int]
    positions: list[int]
    cache: torch.Tensor | None


@torch.inference_mode()
def prefill(
    model: TraceModel,
    run: PromptPass,
    vision: VisionCache,
    prompts: Sequence[Prompt],
    counters: Counters,
    *,
    keep_cache: bool,
) -> Prefilled:
    """Run the language model over prompts; `lm_head` sees the last positions only.

    Raises:
        CheckpointError: a state is not finite.
    """
    grids = [prompt.grid for prompt in prompts]
    merge = model.pictures.spec.merge_size
    batch = pad([prompt.ids for prompt in prompts], grids, model.image_id, model.pad_id, merge, "right")
    lengths_B, positions = batch["lengths"], batch["position_ids"].amax(dim=(0, 2)) + 1
    counters.prefill_calls += 1
    counters.prefill_slots += batch["input_ids"].numel()
    counters.prefill_tokens += int(lengths_B.sum())
    pictures, device = vision.features(prompts), run.device
    states_BTH, cache = run(
        batch["input_ids"].to(device),
        batch["position_ids"].to(device),
        batch["mm_token_type_ids"].flatten().nonzero()[:, 0].to(device),
        pictures,
        keep=keep_cache,
    )
    states_BH = last_states(states_BTH, lengths_B.to(device))
    if not states_BH.isfinite().all():
        raise CheckpointError("the model's states are not finite", remedy="train again, or take float32")
    return Prefilled(
        states_BH=states_BH,
        logits_BV=logits(model.network, states_BH).float(),
        lengths=lengths_B.tolist(),
        positions=positions.tolist(),
        cache=cache,
    )
