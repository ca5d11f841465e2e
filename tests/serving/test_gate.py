"""What is refused at the gate, before anything else is done for it."""

from collections.abc import Iterator

import httpx
import pytest
from tests.serving.running import NAME, Running, figures

INFER = f"/v2/models/{NAME}/infer"
ASKED = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["red"]}]}


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    with running.client() as found:
        yield found


def test_where_all_is_full_nothing_is_read_but_the_head(
    client: httpx.Client, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(client)
    monkeypatch.setattr(running.service.worker._admission, "_preparing", 10_000)
    for path in (INFER, f"/v1/models/{NAME}:predict"):
        found = client.post(path, content=b"not even JSON")
        assert (found.status_code, found.headers["retry-after"]) == (503, "1")
        assert found.json() == {"error": "the queue of prompts is full"}
    assert client.post("/admin/index").status_code == 401  # which computes nothing
    assert client.get("/v2/health/ready").status_code == 200
    monkeypatch.undo()
    key = 'trace_requests_total{outcome="refused",route="unknown"}'
    assert figures(client)[key] - before.get(key, 0) == 2
    assert client.post(INFER, json=ASKED).status_code == 200
