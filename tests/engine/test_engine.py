"""What the engine computes, counted without a clock, and what bounds it."""

import gc
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.families import FAMILIES, build

from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.engine import Engine
from trace_retriever.engine.prompts import plan_prompts
from trace_retriever.engine.scheduler import Limits, Scheduler
from trace_retriever.errors import CheckpointError, ImageError
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, last_states, normalise
from trace_retriever.model.items import Item


@pytest.mark.parametrize("slots", [1, 4, 64])
def test_only_rows_that_still_write_are_computed(
    model: TraceModel, items: Sequence[Item], slots: int
) -> None:
    """Every row-step feeds a token that its trace holds: nothing waits for the slowest row."""
    engine = Engine(model, slots=slots)
    found = list(engine.encode(items, reason="always"))
    needed = sum(one.trace_tokens for one in found)
    assert engine.counters.decode_row_steps == engine.counters.needed_row_steps == needed
    assert engine.counters.decode_steps >= needed / slots
    assert engine.counters.items == len(items)


def test_places_that_fall_free_are_taken_while_others_write(model: TraceModel, items: Sequence[Item]) -> None:
    """With six slots there are far fewer steps than in static batches of six."""
    engine = Engine(model, slots=6, batch_tokens=200)
    found = list(engine.encode(items, reason="always"))
    lengths = [one.trace_tokens for one in found if one.trace_tokens]
    static = sum(max(lengths[start : start + 6]) for start in range(0, len(lengths), 6))
    assert engine.counters.decode_steps < static
    assert engine.counters.decode_steps <= sum(lengths) / 6 + max(lengths)


def test_a_query_that_is_simple_is_done_after_its_prompt(model: TraceModel, items: Sequence[Item]) -> None:
    engine = Engine(model)
    simple = [
        item
        for item, one in zip(items, engine.encode(items, reason="auto"), strict=True)
        if one.route == "simple"
    ]
    assert simple
    before = engine.counters.decode_row_steps
    assert all(one.trace == "" for one in engine.encode(simple, reason="auto"))
    assert engine.counters.decode_row_steps == before


def test_prompts_are_hardly_padded(model: TraceModel, items: Sequence[Item]) -> None:
    engine = Engine(model)
    list(engine.encode(list(items) * 20, reason="never"))
    assert engine.counters.prefill_slots <= 1.06 * engine.counters.prefill_tokens
    assert engine.counters.prefill_calls < len(items) * 20 / 8


def test_a_picture_is_computed_once(model: TraceModel, items: Sequence[Item]) -> None:
    pictures = sum(item.image is not None for item in items)
    engine = Engine(model)
    first = list(engine.encode(items, reason="never"))
    assert (engine.counters.pictures, engine.counters.picture_hits) == (pictures, 0)
    again = list(engine.encode(items, reason="never"))
    assert (engine.counters.pictures, engine.counters.picture_hits) == (2 * pictures, pictures)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_allclose(one.direct, other.direct, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.01, 0.2, 1.1])
def test_a_threshold_decides_the_route(model: TraceModel, items: Sequence[Item], threshold: float) -> None:
    engine = Engine(model, route_threshold=threshold)
    for one in engine.encode(items, reason="auto"):
        assert one.route == ("simple" if one.p_emb >= threshold else "complex")
        assert one.trace_tokens == 0 or one.route == "complex"


def test_a_special_token_in_a_trace_gives_it_up(model: TraceModel, items: Sequence[Item]) -> None:
    engine = Engine(model)
    found = list(engine.encode(items, reason="always"))
    given_up = [one for one in found if one.fallback == "garbage"]
    assert 0 < len(given_up) < len(found)
    assert engine.counters.garbage == len(given_up)
    for one in given_up:
        np.testing.assert_array_equal(one.vector("always"), one.direct)
        assert not one.truncated


def test_a_trace_that_takes_too_long_is_given_up(model: TraceModel, items: Sequence[Item]) -> None:
    engine = Engine(model, max_seconds=1e-9)
    found = list(engine.encode(items, reason="always"))
    assert engine.counters.late == sum(one.fallback == "time" for one in found) > 0
    for one in found:
        np.testing.assert_array_equal(one.reasoned, one.direct)


def test_a_picture_that_breaks_stops_the_call_and_not_the_engine(
    model: TraceModel, items: Sequence[Item], tmp_path: Path
) -> None:
    broken = tmp_path / "cut.png"
    Image.new("RGB", (64, 64), "red").save(broken)
    broken.write_bytes(broken.read_bytes()[:-40])
    engine = Engine(model, batch_tokens=200)
    with pytest.raises(ImageError, match=r"cut\.png"):
        list(engine.encode([*items, Item("of the", broken)], reason="always"))
    with pytest.raises(ImageError, match=r"none\.png"):
        list(engine.encode([*items, Item("of the", tmp_path / "none.png")], reason="always"))
    assert not engine.scheduler.busy
    assert len(list(engine.encode(items, reason="always"))) == len(items)


def test_a_call_that_is_left_early_leaves_nothing_behind(model: TraceModel, items: Sequence[Item]) -> None:
    engine = Engine(model, slots=2)
    stream = engine.encode(items, reason="always")
    assert isinstance(stream, Generator)
    next(stream)
    stream.close()
    assert not engine.scheduler.busy


def test_states_that_are_not_finite_are_an_error() -> None:
    model = build("qwen2_5_vl")
    weight = model.network.get_parameter("model.language_model.norm.weight")
    with torch.no_grad():
        weight.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        list(Engine(model).encode([Item("a dog")]))


def test_prompts_join_while_others_write(model: TraceModel, items: Sequence[Item]) -> None:
    """A server's use: one prompt at a time is admitted between steps, and results leave as they are ready."""
    expected = list(Engine(model).encode(items, reason="always"))
    engine = Engine(model, slots=8)
    scheduler, results = engine.scheduler, dict[object, Encoded]()
    with ThreadPoolExecutor(1) as pool:
        prompts = plan_prompts(model, items, pool)
    for number, prompt in enumerate(prompts):
        results.update(scheduler.admit([number], [prompt], "always"))
        results.update(scheduler.step())
    while scheduler.busy:
        results.update(scheduler.step())
    assert set(results) == set(range(len(items)))
    for number, one in enumerate(expected):
        found = results[number]
        assert isinstance(found, Encoded)
        assert found.trace_ids == one.trace_ids
        np.testing.assert_allclose(found.reasoned, one.reasoned, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_encoded_as_by_a_plain_forward(family: str) -> None:
    model = build(family)
    model = replace(model, settings=model.settings.model_copy(update={"max_trace_tokens": 6}))
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)) for _ in range(2)]
    items = [Item("Replace the crab", pictures[0]), Item(None, pictures[1]), Item("You are a helpful dog")]
    items += [Item("user", pictures[0])]
    written = 0
    for item, one in zip(items, Engine(model, slots=2).encode(items, reason="always"), strict=True):
        trace = () if one.fallback else one.trace_ids
        batch = collate(model, [Row(item, trace)])
        with torch.no_grad():
            state = last_states(hidden_states(model.network, batch), batch["lengths"])
        np.testing.assert_allclose(one.reasoned, normalise(state)[0].numpy(), atol=1e-5)
        written += len(trace)
    assert written > 6


def test_a_scheduler_without_rows_has_nothing_to_do(model: TraceModel) -> None:
    scheduler = Scheduler(model, Limits(trace_tokens=4), slots=2)
    assert scheduler.step() == []
    assert not scheduler.busy
    assert not scheduler.full


def test_half_precision_gives_nearly_the_same_vectors(model: TraceModel, items: Sequence[Item]) -> None:
    half = replace(model, network=deepcopy(model.network).to(torch.bfloat16))
    exact = Engine(model).encode(items, reason="never")
    for one, other in zip(exact, Engine(half).encode(items, reason="always"), strict=True):
        assert other.direct.dtype == np.float32
        assert float(one.direct @ other.direct) > 0.99


def states_alive(model: TraceModel) -> int:
    """Bytes of all tensors that are as wide as a state and no weight."""
    weights = {weight.data_ptr() for weight in model.network.parameters()}
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    states = [one for one in tensors if one.ndim >= 2 and one.shape[-1] == model.dim]
    return sum(one.nbytes for one in states if one.data_ptr() not in weights)


def test_no_states_are_kept_while_traces_are_written(
    model: TraceModel, items: Sequence[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is alive after a step: vectors that come out, and what the step itself made; no list of states."""
    slots, alive = 4, []
    step = Scheduler.step

    def watched(self: Scheduler) -> Any:
        done = step(self)
        alive.append(states_alive(model))
        return done

    words = [item for item in items if item.image is None]  # features of pictures are kept on purpose
    engine = Engine(model, slots=slots)
    gc.collect()
    before = states_alive(model)
    monkeypatch.setattr(Scheduler, "step", watched)
    found = list(engine.encode(words, reason="always"))
    assert max(one.trace_tokens for one in found) > 4
    assert len(alive) > 8
    state, layers = model.dim * 4, len(model.config.text_config.layer_types) + 1
    results = 2 * len(words) * state  # the vectors that come out
    assert max(alive) - before <= results + 2 * slots * state
    assert max(alive) - before < sum(one.trace_tokens for one in found) * layers * state / 4
