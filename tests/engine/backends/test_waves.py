from collections.abc import Sequence

import numpy as np
import pytest
from tests.engine.backends.plain import PlainClient

from trace_retriever.engine.backends.waves import Request, Response, Waves
from trace_retriever.engine.encoded import Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


@pytest.mark.parametrize("reason", ["auto", "always", "never"])
@pytest.mark.parametrize("limit", [1, 4, None])
@pytest.mark.parametrize("threshold", [None, 0.05])
def test_waves_come_to_what_the_engine_comes_to(
    model: TraceModel, items: Sequence[Item], reason: Reason, limit: int | None, threshold: float | None
) -> None:
    engine = Engine(model, max_trace_tokens=limit, route_threshold=threshold)
    waves = Waves(model, PlainClient(model), max_trace_tokens=limit, route_threshold=threshold)
    expected = engine.encode(items[:12], reason=reason)
    for one, other in zip(waves.encode(items[:12], reason=reason), expected, strict=True):
        fields = ("route", "trace", "trace_ids", "truncated", "fallback")
        assert [getattr(one, name) for name in fields] == [getattr(other, name) for name in fields]
        np.testing.assert_allclose(one.reasoned, other.reasoned, atol=1e-5)
        np.testing.assert_allclose(one.direct, other.direct, atol=1e-5)
        assert one.p_emb == pytest.approx(other.p_emb, abs=1e-5)
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
        assert one.min_logprob == pytest.approx(other.min_logprob, abs=1e-4)


def test_a_simple_query_is_one_token(model: TraceModel, items: Sequence[Item]) -> None:
    client = PlainClient(model)
    found = list(Waves(model, client).encode(items))
    onward = [request for request in client.asked if request.written]
    assert len(onward) == sum(bool(one.trace_ids) for one in found) < len(items)
    assert all(request.limit == 1 for request in client.asked if not request.written)


class Hasty(PlainClient):
    """Stops a trace early, as a server does whose context is too short."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        cut = [
            one if not one.written else Request(prompt=one.prompt, written=one.written) for one in requests
        ]
        return super().generate(cut)


class Deaf(PlainClient):
    """Does not hear the stops."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        return super().generate(
            [Request(prompt=one.prompt, written=one.written, limit=one.limit, watched=one.watched,
                     banned=one.banned) for one in requests]
        )  # fmt: skip


@pytest.mark.parametrize(("client", "message"), [(Hasty, "stopped after"), (Deaf, "wrote on after")])
def test_a_server_that_breaks_a_trace_s_rules_is_an_error(
    model: TraceModel, items: Sequence[Item], client: type[PlainClient], message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        list(Waves(model, client(model)).encode(items, reason="always"))
