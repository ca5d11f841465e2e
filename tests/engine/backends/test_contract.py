"""What every backend promises, held against plain forwards over its own traces.

`sglang` and `vllm` run where they can be imported, in bfloat16 on their GPU: their choices may differ from
those in float32, so a vector is compared with the forward over the trace that the backend wrote itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.backends.plain import PlainClient

from trace_retriever.engine.backends import Backend, open_backend
from trace_retriever.engine.backends.waves import Waves
from trace_retriever.engine.encoded import Encoded, Reason, Vector
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, last_states, logits, normalise
from trace_retriever.model.items import Item

REASONS: tuple[Reason, ...] = ("auto", "always", "never")
SERVERS: dict[str, dict[str, Any]] = {
    "sglang": {"mem_fraction_static": 0.2},
    "vllm": {"gpu_memory_utilization": 0.2},
}


@dataclass(frozen=True)
class Opened:
    """A backend, and how near its figures are to float32."""

    backend: Backend
    cosine: float
    probability: float


@pytest.fixture(scope="module", params=["local", "plain", *SERVERS])
def opened(request: pytest.FixtureRequest, directory: Path, model: TraceModel) -> Iterator[Opened]:
    name = request.param
    if name == "plain":
        yield Opened(Waves(model, PlainClient(model)), 1e-5, 1e-5)
    elif name == "local":
        yield Opened(open_backend("local", directory), 1e-5, 1e-5)
    else:
        pytest.importorskip(name, exc_type=ImportError)
        backend = open_backend(name, directory, dtype="bfloat16", **SERVERS[name])
        yield Opened(backend, 0.01, 0.1)
        if name == "sglang":
            assert isinstance(backend, Waves)
            backend.client.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def found(opened: Opened, items: Sequence[Item]) -> dict[Reason, list[Encoded]]:
    return {reason: list(opened.backend.encode(items, reason=reason)) for reason in REASONS}


def forced(model: TraceModel, item: Item, trace_ids: Sequence[int]) -> tuple[Vector, torch.Tensor]:
    """Vector and last probabilities of a plain forward over prompt and trace."""
    batch = collate(model, [Row(item, tuple(trace_ids))])
    with torch.no_grad():
        state = last_states(hidden_states(model.network, batch), batch["lengths"])
        return normalise(state)[0].numpy(), logits(model.network, state)[0].softmax(-1)


def near(one: Vector, other: Vector, bound: float) -> bool:
    """Whether two unit vectors' cosine is as near to 1 as the bound."""
    return float(one @ other) >= 1 - bound


@pytest.mark.parametrize("reason", REASONS)
def test_each_item_has_its_unit_vectors_in_order(
    opened: Opened,
    found: dict[Reason, list[Encoded]],
    model: TraceModel,
    items: Sequence[Item],
    reason: Reason,
) -> None:
    assert len(found[reason]) == len(items)
    for item, one in zip(items, found[reason], strict=True):
        assert one.direct.dtype == one.reasoned.dtype == np.float32
        assert np.linalg.norm(one.reasoned) == pytest.approx(1, abs=1e-5)
        assert near(one.direct, forced(model, item, ())[0], opened.cosine)


@pytest.mark.parametrize("reason", REASONS)
def test_a_vector_is_that_of_the_trace_that_was_written(
    opened: Opened,
    found: dict[Reason, list[Encoded]],
    model: TraceModel,
    items: Sequence[Item],
    reason: Reason,
) -> None:
    for item, one in zip(items, found[reason], strict=True):
        trace = () if one.fallback else one.trace_ids
        assert near(one.reasoned, forced(model, item, trace)[0], opened.cosine)
        assert one.trace == model.trace_text(one.trace_ids)


def test_the_first_token_routes(
    opened: Opened, found: dict[Reason, list[Encoded]], model: TraceModel, items: Sequence[Item]
) -> None:
    for item, one in zip(items, found["auto"], strict=True):
        probability = forced(model, item, ())[1]
        assert one.p_emb == pytest.approx(float(probability[model.emb_id]), abs=opened.probability)
        second, first = probability.sort().values[-2:].tolist()
        if first - second > opened.probability:
            assert one.route == ("simple" if int(probability.argmax()) == model.emb_id else "complex")


def test_each_mode_writes_what_it_should(found: dict[Reason, list[Encoded]]) -> None:
    assert {one.route for one in found["auto"]} == {"simple", "complex"}
    assert all(one.trace_ids == () for one in found["never"])
    for one in found["auto"]:
        assert bool(one.trace_ids) == (one.route == "complex") or one.fallback
    assert all(one.trace_ids or one.fallback for one in found["always"])


def test_a_trace_ends_at_the_embedding_token_the_limit_or_garbage(
    found: dict[Reason, list[Encoded]], model: TraceModel
) -> None:
    assert {one.truncated for one in found["always"]} == {True, False}
    assert {one.fallback for one in found["always"]} == {"", "garbage"}
    for one in found["always"]:
        assert model.emb_id not in one.trace_ids
        assert len(one.trace_ids) == model.settings.max_trace_tokens or not one.truncated
        if one.fallback:
            np.testing.assert_array_equal(one.reasoned, one.direct)


def test_confidence_is_the_mean_log_probability_of_the_trace(
    opened: Opened, found: dict[Reason, list[Encoded]], model: TraceModel, items: Sequence[Item]
) -> None:
    pairs = list(zip(items, found["always"], strict=True))
    item, one = max(pairs, key=lambda pair: pair[1].trace_tokens)
    chances = [
        float(forced(model, item, one.trace_ids[:length])[1][token].log())
        for length, token in enumerate(one.trace_ids)
    ]
    assert one.confidence == pytest.approx(np.mean(chances), abs=max(1e-4, opened.probability))


def test_it_may_be_called_again(
    opened: Opened, found: dict[Reason, list[Encoded]], items: Sequence[Item]
) -> None:
    for one, other in zip(found["auto"], opened.backend.encode(items), strict=True):
        assert near(one.direct, other.direct, opened.cosine)
    assert list(opened.backend.encode([])) == []
