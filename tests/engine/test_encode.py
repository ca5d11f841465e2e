from collections.abc import Sequence

import numpy as np
import pytest
import torch

from trace_retriever.engine.choose import special_ids
from trace_retriever.engine.encode import encode
from trace_retriever.engine.encoded import Encoded, Reason, Vector
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, last_states, logits, normalise
from trace_retriever.model.items import Item

REASONS: tuple[Reason, ...] = ("auto", "always", "never")


def forced(model: TraceModel, item: Item, trace_ids: Sequence[int]) -> tuple[Vector, torch.Tensor]:
    """One row's vector and last logits by a plain forward over prompt and trace."""
    batch = collate(model, [Row(item, tuple(trace_ids))])
    with torch.no_grad():
        state = last_states(hidden_states(model.network, batch), batch["lengths"])
        return normalise(state)[0].numpy(), logits(model.network, state)[0]


@pytest.mark.parametrize("reason", REASONS)
def test_a_vector_equals_the_teacher_forced_forward_of_its_trace(
    model: TraceModel, items: Sequence[Item], reason: Reason
) -> None:
    for item, found in zip(items, encode(model, items, reason=reason, batch_tokens=400), strict=True):
        np.testing.assert_allclose(found.direct, forced(model, item, ())[0], atol=1e-5)
        written = () if found.fallback else found.trace_ids
        np.testing.assert_allclose(found.reasoned, forced(model, item, written)[0], atol=1e-5)


@pytest.mark.parametrize("reason", REASONS)
def test_vectors_do_not_depend_on_the_batch(model: TraceModel, items: Sequence[Item], reason: Reason) -> None:
    alone = list(encode(model, items, reason=reason, batch_tokens=1))
    together = list(encode(model, items, reason=reason, batch_tokens=100_000))
    backwards = list(encode(model, items[::-1], reason=reason, batch_tokens=300))[::-1]
    for one, two, three in zip(alone, together, backwards, strict=True):
        for other in (two, three):
            assert (one.trace_ids, one.route, one.truncated, one.fallback) == (
                other.trace_ids,
                other.route,
                other.truncated,
                other.fallback,
            )
            np.testing.assert_allclose(one.direct, other.direct, atol=1e-5)
            np.testing.assert_allclose(one.reasoned, other.reasoned, atol=1e-5)
            assert one.p_emb == pytest.approx(other.p_emb, abs=1e-5)
            assert one.confidence == pytest.approx(other.confidence, abs=1e-4)


def test_the_items_exercise_both_routes_and_all_endings(model: TraceModel, items: Sequence[Item]) -> None:
    found = list(encode(model, items, reason="always"))
    assert {one.route for one in found} == {"simple", "complex"}
    assert {one.truncated for one in found} == {True, False}
    assert len({one.trace_tokens for one in found}) > 3


def test_the_trace_is_the_greedy_one(model: TraceModel, items: Sequence[Item]) -> None:
    ends = {model.emb_id, *special_ids(model)}
    for item, found in zip(items[:9], encode(model, items[:9], reason="always"), strict=True):
        tokens: list[int] = []
        while len(tokens) < model.settings.max_trace_tokens:
            scores = forced(model, item, tokens)[1]
            if not tokens:
                scores[model.emb_id] = -torch.inf
            token = int(scores.argmax())
            if token in ends:
                break
            tokens.append(token)
        assert found.trace_ids == tuple(tokens)
        assert found.trace == model.trace_text(tokens)


def test_auto_decodes_only_what_the_first_token_asks_for(model: TraceModel, items: Sequence[Item]) -> None:
    for item, found in zip(items, encode(model, items, reason="auto"), strict=True):
        first = forced(model, item, ())[1]
        simple = int(first.argmax()) == model.emb_id
        assert found.route == ("simple" if simple else "complex")
        assert (found.trace_tokens == 0) == (simple or found.fallback == "garbage")
        assert found.p_emb == pytest.approx(float(first.softmax(-1)[model.emb_id]), abs=1e-5)
        if simple:
            np.testing.assert_array_equal(found.reasoned, found.direct)


def test_auto_and_never_can_be_read_from_always(model: TraceModel, items: Sequence[Item]) -> None:
    always = list(encode(model, items, reason="always"))
    modes: tuple[Reason, ...] = ("auto", "never")
    for reason in modes:
        for one, other in zip(always, encode(model, items, reason=reason), strict=True):
            np.testing.assert_allclose(one.vector(reason), other.vector(reason), atol=1e-5)


def test_confidence_is_the_mean_log_probability_of_the_trace(
    model: TraceModel, items: Sequence[Item]
) -> None:
    every = zip(items, encode(model, items, reason="always"), strict=True)
    item, found = max(every, key=lambda pair: pair[1].trace_tokens)
    expected = []
    for length, token in enumerate(found.trace_ids):
        expected.append(float(forced(model, item, found.trace_ids[:length])[1].log_softmax(-1)[token]))
    assert found.confidence == pytest.approx(np.mean(expected), abs=1e-4)
    assert found.min_logprob == pytest.approx(min(expected), abs=1e-4)


@pytest.mark.parametrize("limit", [1, 3])
def test_at_the_limit_the_state_is_latched_and_flagged(
    model: TraceModel, items: Sequence[Item], limit: int
) -> None:
    found = list(encode(model, items, reason="always", max_trace_tokens=limit))
    assert all(one.trace_tokens <= limit for one in found)
    cut = [(item, one) for item, one in zip(items, found, strict=True) if one.truncated]
    assert cut
    for item, one in cut:
        vector, scores = forced(model, item, one.trace_ids)
        assert one.trace_tokens == limit
        assert int(scores.argmax()) != model.emb_id
        np.testing.assert_allclose(one.reasoned, vector, atol=1e-5)


def test_vectors_are_float32_of_unit_length(model: TraceModel, items: Sequence[Item]) -> None:
    for found in encode(model, items[:6], reason="always"):
        assert found.direct.dtype == found.reasoned.dtype == np.float32
        assert np.linalg.norm(found.direct) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(found.reasoned) == pytest.approx(1, abs=1e-6)


def test_nothing_in_nothing_out(model: TraceModel) -> None:
    assert list(encode(model, [])) == []


def test_the_network_keeps_its_mode(model: TraceModel, items: Sequence[Item]) -> None:
    model.network.train()
    assert isinstance(next(iter(encode(model, items[:1]))), Encoded)
    assert model.network.training
    model.network.eval()
