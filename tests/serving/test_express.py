"""What goes past the framework: the same answers, and errors that end here."""

import pytest
from tests.serving.running import NAME, Running

INFER = f"/v2/models/{NAME}/infer"
ASKED = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["red"]}]}


def test_what_nobody_foresaw_is_told_by_the_log(
    running: Running, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(*_: object) -> None:
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(running.service, "answer", fault)
    with running.client() as client:
        found = client.post(INFER, json=ASKED, headers={"x-request-id": "odd"})
    assert found.status_code == 500
    assert found.json() == {"error": "the server failed; its log says why"}
    (line,) = [record for record in caplog.records if record.message == "request failed"]
    assert line.request == "odd"  # type: ignore[attr-defined]
    assert line.exc_info is not None
