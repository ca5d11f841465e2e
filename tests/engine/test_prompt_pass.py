"""Whole prompts through our loop over the layers equal transformers' own forward, for every family."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.families import FAMILIES, build
from transformers import DynamicCache

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.prompt_pass import PromptPass
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.vision import Features, VisionCache
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import Batch, Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> TraceModel:
    return build(request.param)


def pictured() -> list[Item]:
    """Words alone, a picture alone, both; lengths and sizes differ."""
    rng = np.random.default_rng(0)
    first, second = (
        Image.fromarray(rng.integers(0, 256, (high, 48, 3), dtype=np.uint8)) for high in (32, 48)
    )
    return [Item("You are a dog"), Item("Replace the crab", first), Item(None, second), Item("user")]


def features(model: TraceModel, items: Sequence[Item]) -> list[Features]:
    prompts = []
    for item in items:
        if item.image is not None:
            identity = model.pictures.identify(item.image)
            prompts.append(Prompt([1], item.image, identity.digest, identity.grid))
    return VisionCache(model, Counters(), 1 << 20).features(prompts)


@torch.inference_mode()
def passed(
    model: TraceModel, items: Sequence[Item], *, keep: bool
) -> tuple[Batch, torch.Tensor, torch.Tensor | None]:
    batch = collate(model, [Row(item) for item in items])
    places = batch["mm_token_type_ids"].flatten().nonzero()[:, 0]
    run = PromptPass(model.network)
    states, cache = run(batch["input_ids"], batch["position_ids"], places, features(model, items), keep=keep)
    return batch, states, cache


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 4])
def test_states_and_what_is_kept_are_those_of_the_library(model: TraceModel, count: int) -> None:
    items = pictured()[:count]
    batch, states, cache = passed(model, items, keep=True)
    network: Any = model.network
    known = ("input_ids", "position_ids", "attention_mask", "pixel_values", "image_grid_thw")
    inputs = {key: batch[key] for key in known if key in batch}
    kept = DynamicCache(config=model.config.get_text_config())
    expected = network.model(**inputs, past_key_values=kept, use_cache=True).last_hidden_state
    assert cache is not None
    assert len(cache) == len(kept.layers)
    for number, length in enumerate(batch["lengths"].tolist()):
        torch.testing.assert_close(states[number, :length], expected[number, :length], atol=1e-5, rtol=1e-5)
        for own, other in zip(cache, kept.layers, strict=True):
            pair = torch.stack([other.keys[number, :, :length], other.values[number, :, :length]])
            torch.testing.assert_close(own[:, number, :, :length], pair, atol=1e-5, rtol=1e-5)


def test_nothing_is_kept_where_nothing_goes_on(model: TraceModel) -> None:
    _, kept, cache = passed(model, pictured(), keep=True)
    _, states, none = passed(model, pictured(), keep=False)
    assert cache is not None
    assert none is None
    torch.testing.assert_close(states, kept, atol=1e-6, rtol=1e-6)


def test_windowed_attention_is_refused() -> None:
    model = build("qwen2_5_vl")
    model.config.text_config.layer_types[0] = "sliding_attention"
    with pytest.raises(CheckpointError, match="sliding-window attention is not supported"):
        PromptPass(model.network)
