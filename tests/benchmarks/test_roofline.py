"""The formulas against real networks' parameters and against torch's own count of operations."""

from typing import Any

import pytest
import torch
from roofline import (  # type: ignore[import-not-found]
    Device,
    Shape,
    Work,
    decode,
    encode_image,
    kv_bytes,
    prefill,
    prefill_work,
    reasoning_seconds,
    step,
    training,
)
from shapes import big_config  # type: ignore[import-not-found]
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trace_retriever.config.backbone import TinySize
from trace_retriever.model.tiny import build_tiny, tiny_config

SIZES = (TinySize(), TinySize(hidden=64, layers=2, heads=2, mlp=96, vision_hidden=32, vision_layers=3))


def meta_network(config: Any) -> Any:
    from transformers import Qwen2_5_VLForConditionalGeneration

    with torch.device("meta"):
        return Qwen2_5_VLForConditionalGeneration(config)


@pytest.mark.parametrize("config", [*(tiny_config(size, 140) for size in SIZES), big_config()])
def test_every_weight_is_counted(config: Any) -> None:
    """Exactly: the sum of the parts is the number of parameters."""
    network = meta_network(config)
    shape = Shape.of(config)
    assert shape.parameters == sum(weight.numel() for weight in network.parameters())
    layers = network.model.language_model.layers
    assert shape.layers == sum(weight.numel() for weight in layers.parameters() if weight.ndim == 2)
    assert shape.head == network.lm_head.weight.numel()


def test_the_large_shape_is_that_of_qwen2_5_vl_7b() -> None:
    """Published: 8.29e9 parameters in all, of them 7.07e9 without tables and tower; 57,344 bytes a token."""
    shape = Shape.of(big_config())
    assert shape.parameters == 8_292_166_656
    assert shape.language == 6_525_621_760
    assert shape.head == 544_997_376
    assert kv_bytes(shape) == 57_344


def counted(run: Any) -> float:
    """Operations of matrix products; attention's too, since the plain kernel is made of them."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


@pytest.mark.parametrize("size", SIZES)
def test_a_prefill_s_operations_are_those_that_torch_counts(size: TinySize) -> None:
    """Within 2 %; torch counts all pairs of positions, masked or not."""
    model = build_tiny(size, [f"w{n}" for n in range(120)], pixels=96, seed=0)
    shape, network = Shape.of(model.config), model.network
    ids = torch.randint(8, 100, (1, 50))
    positions = torch.arange(50).expand(3, 1, 50)

    def run() -> None:
        states = network.get_submodule("model")(input_ids=ids, position_ids=positions, use_cache=False)[0]
        network.get_submodule("lm_head")(states[:, -1])

    assert counted(run) == pytest.approx(prefill(shape, 50, causal=False), rel=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_a_picture_s_operations_are_those_that_torch_counts(size: TinySize) -> None:
    """Within 2 %. The tiny tower has full attention in every layer."""
    model = build_tiny(size, ["a"], pixels=96, seed=0)
    network: Any = model.network
    patches = torch.randn(12 * 8, 3 * 2 * size.patch**2)
    grid = torch.tensor([[1, 12, 8]])
    total = counted(lambda: network.model.get_image_features(patches, grid))
    assert total == pytest.approx(encode_image(Shape.of(model.config), 24), rel=0.02)


def test_windows_bound_the_tower_s_attention() -> None:
    shape = Shape.of(big_config())
    assert shape.window == 64
    per_token = [encode_image(shape, tokens) / tokens for tokens in (16, 256, 1024)]
    assert per_token[0] < per_token[1] < per_token[2] < 1.5 * per_token[0]


def test_a_step_reads_the_weights_once_and_each_row_s_cache() -> None:
    shape = Shape.of(big_config())
    one, many = step(shape, 1, 400.0), step(shape, 64, 400.0)
    assert many.flop == pytest.approx(64 * one.flop)
    assert many.bytes - one.bytes == pytest.approx(63 * 400 * kv_bytes(shape))
    assert step(shape, [100.0, 300.0]).flop == pytest.approx(decode(shape, 100) + decode(shape, 300))
    assert one.bytes == pytest.approx(14.14e9 + 400 * 57_344, rel=1e-3)


def test_prompts_of_a_batch_share_one_reading_of_the_weights() -> None:
    shape = Shape.of(big_config())
    batches = prefill_work(shape, [(96, 256)] * 5, batch=2)
    assert len(batches) == 3
    assert batches[0].flop == pytest.approx(2 * prefill(shape, 96, 256))
    assert batches[0].bytes == batches[2].bytes


def test_more_rows_cost_less_each_until_operations_bind() -> None:
    shape, device = Shape.of(big_config()), Device(bandwidth=4.3e12, flops=7.9e14)
    seconds = [
        reasoning_seconds(shape, device, text=96, visual=256, trace=150, rows=rows)
        for rows in (1, 4, 32, 128, 384)
    ]
    assert seconds == sorted(seconds, reverse=True)
    assert [round(1 / one) for one in seconds[:3]] == [2, 8, 42]


def test_work_takes_the_longer_of_its_two_times() -> None:
    device = Device(bandwidth=10.0, flops=100.0)
    assert device.seconds(Work(flop=100.0, bytes=1.0)) == 1.0
    assert device.seconds(Work(flop=1.0, bytes=30.0) + Work(flop=1.0)) == 3.0


def test_an_update_is_three_forwards_or_two_under_lora() -> None:
    shape = Shape.of(big_config())
    common: dict[str, Any] = {"tokens": 1000, "visual": 0, "labels": 0, "pairs": 0.0}
    assert training(shape, **common, lora=False) == pytest.approx(6 * shape.layers * 1000)
    assert training(shape, **common, lora=True) == pytest.approx(4 * shape.layers * 1000)
