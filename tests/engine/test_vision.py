from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.families import FAMILIES, build

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.vision import VisionCache
from trace_retriever.model.bundle import TraceModel


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> TraceModel:
    return build(request.param)


def prompts(model: TraceModel, count: int) -> list[Prompt]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        image = Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8))
        identity = model.pictures.identify(image)
        found.append(Prompt([1], image, identity.digest, identity.grid))
    return found


@torch.inference_mode()
def computed(model: TraceModel, asked: Sequence[Prompt]) -> Any:
    network: Any = model.network
    patches = [model.pictures.read(prompt.image) for prompt in asked if prompt.image is not None]
    grids = torch.tensor([(1, *one.grid) for one in patches])
    return network.model.get_image_features(
        torch.cat([one.values for one in patches]), grids, return_dict=True
    )


@torch.inference_mode()
def test_features_are_those_of_the_vision_tower_each_picture_computed_once(model: TraceModel) -> None:
    counters = Counters()
    cache, asked = VisionCache(model, counters, 1 << 20), prompts(model, 3)
    order = [asked[index] for index in (2, 0, 2, 1, 0)]
    found = cache.features(order)
    expected = computed(model, order)
    for one, other in zip(found, expected.pooler_output, strict=True):
        torch.testing.assert_close(one.tokens_TH, other, atol=1e-5, rtol=1e-5)
    layers = getattr(expected, "deepstack_features", [])
    assert all(len(one.deep) == len(layers) for one in found)
    for number, layer in enumerate(layers):
        for one, other in zip(found, layer, strict=True):
            torch.testing.assert_close(one.deep[number], other, atol=1e-5, rtol=1e-5)
    assert (counters.pictures, counters.picture_hits) == (5, 2)
    cache.features(asked)
    assert (counters.pictures, counters.picture_hits) == (8, 5)


@torch.inference_mode()
def test_the_least_recently_used_is_dropped_and_read_again_when_needed() -> None:
    model = build("qwen2_5_vl")
    asked = prompts(model, 3)
    size = VisionCache(model, Counters(), 1 << 20).features(asked[:1])[0].nbytes
    cache = VisionCache(model, Counters(), max_bytes=2 * size)
    cache.features(asked[:2])
    cache.features(asked[:1])
    cache.features(asked[2:])
    assert [prompt.digest in cache for prompt in asked if prompt.digest] == [True, False, True]
    again = cache.features(asked[1:2])[0]  # its patches were not read ahead: it was known when that was asked
    torch.testing.assert_close(again.tokens_TH, computed(model, asked[1:2]).pooler_output[0])


@torch.inference_mode()
def test_features_larger_than_the_cache_are_still_returned() -> None:
    model = build("qwen2_5_vl")
    cache = VisionCache(model, Counters(), max_bytes=1)
    assert len(cache.features(prompts(model, 2))) == 2
