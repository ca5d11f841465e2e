from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.families import FAMILIES, build
from torch.nn import functional as F

from trace_retriever.model.vision_attention import attend, attend_by_length

GRIDS = [(4, 6), (4, 6), (8, 4), (6, 6), (12, 10)]


def features(network: Any, grids: Sequence[tuple[int, int]]) -> torch.Tensor:
    patches = sum(high * wide for high, wide in grids)
    values = torch.randn(patches, 384, generator=torch.Generator().manual_seed(1))
    grid = torch.tensor([(1, *one) for one in grids])
    return torch.cat(network.model.get_image_features(values, grid, return_dict=True).pooler_output)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tower_gives_the_same_features_with_fewer_calls(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = F.scaled_dot_product_attention

    def counted(*parts: Any, **options: Any) -> torch.Tensor:
        calls.append(parts[0].shape)
        return original(*parts, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    network: Any = build(family).network
    with torch.no_grad():
        before = features(network, GRIDS)
        taken = len(calls)
        attend_by_length(network)
        torch.testing.assert_close(features(network, GRIDS), before, atol=1e-6, rtol=1e-6)
    assert 0 < len(calls) - taken < taken


def test_gradients_reach_the_tower() -> None:
    network: Any = build("qwen2_5_vl").network
    weight = network.model.visual.blocks[0].attn.qkv.weight
    (expected,) = torch.autograd.grad(features(network, GRIDS).sum(), weight)
    attend_by_length(network)
    (found,) = torch.autograd.grad(features(network, GRIDS).sum(), weight)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_a_patch_attends_to_its_chunk_only(lengths: list[int]) -> None:
    ends = torch.tensor([0, *lengths]).cumsum(0)
    parts = torch.randn(3, sum(lengths), 2, 4, generator=torch.Generator().manual_seed(0))
    query, key, value = parts.transpose(1, 2)
    chunk = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=chunk[:, None] == chunk)
    found = attend(parts[0], parts[1], parts[2], ends)
    torch.testing.assert_close(found, expected.transpose(0, 1), atol=1e-5, rtol=1e-5)
