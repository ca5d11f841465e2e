"""The life of a server: as a process that is signalled, and what its clients see meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serving.running import NAME, Running, Served, endless

from trace_retriever.config.serve import ServeSettings, load_serve
from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.serving.server import Server
from trace_retriever.serving.service import Service
from trace_retriever.serving.worker import Worker

INFER = f"/v2/models/{NAME}/infer"
ASKED = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["after red"]}]}
ALWAYS = ASKED | {"parameters": {"reason": "always"}}


def thread_of(service: Service) -> Worker:
    """What computes in this process, to be tampered with."""
    assert isinstance(service.worker, Worker)
    return service.worker


class Process:
    """`trace serve` in a process of its own."""

    def __init__(self, served: Served, log: Path, *options: str) -> None:
        self.log = log
        where = ["--model", str(served.model), "--embeddings", str(served.embeddings)]
        ports = ["--http-port", "0", "--grpc-port", "0"]
        code = "from trace_retriever.cli import main; main()"
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, "serve", *where, *ports, *options], stderr=stream, env=os.environ
            )
        try:
            self.port = self.wait("serving")["http"]
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait(self, message: str) -> dict[str, Any]:
        until = time.monotonic() + 400
        while time.monotonic() < until:
            for line in self.lines():
                if line["message"] == message:
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"no {message!r}: {self.log.read_text()[-3000:]}")

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)


@pytest.fixture(scope="module")
def process(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    made = Process(served, tmp_path_factory.mktemp("log") / "log", "--set", "slots=2", "--set", "max_items=4")
    yield made
    made.end()


def test_the_command_serves_swaps_drains_and_ends(process: Process) -> None:
    with process.client() as client:
        assert client.post(INFER, json=ASKED, headers={"x-request-id": "first"}).status_code == 200
        process.process.send_signal(signal.SIGHUP)
        assert process.wait("index swapped")["index"].startswith("sha256:")
        assert client.post("/admin/index").status_code == 401
        assert client.post(INFER, json=ASKED | {"parameters": {"k": 2}}).status_code == 200
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(60) == 0
    lines = process.lines()
    assert lines[-1]["message"] == "stopped"
    assert lines[-1]["drained"] is True
    (first,) = [line for line in lines if line.get("request") == "first"]
    assert (first["method"], first["path"], first["status"]) == ("POST", INFER, 200)
    assert "after red" not in process.log.read_text()


def test_the_next_process_takes_the_place_of_one_that_was_killed(served: Served, tmp_path: Path) -> None:
    first = Process(served, tmp_path / "first")
    try:
        with first.client() as client:
            before = client.post(INFER, json=ASKED).json()["outputs"]
            first.process.kill()
            first.process.wait(60)
            with pytest.raises(httpx.TransportError):
                client.post(INFER, json=ASKED)
    finally:
        first.end()
    second = Process(served, tmp_path / "second", "--http-port", str(first.port))
    try:
        with second.client() as client:
            assert client.post(INFER, json=ASKED).json()["outputs"] == before
    finally:
        second.end()


def test_who_is_told_to_stop_while_it_starts_does_not_start(served: Served) -> None:
    service = served.service()
    running = Running(service)

    async def start() -> None:
        running.server.stop()
        await asyncio.sleep(600)

    service.start = start  # type: ignore[method-assign]
    running.thread.start()
    running.thread.join(60)
    assert not running.thread.is_alive()
    assert running.error is None
    assert not service.worker.ready


def test_stopping_finishes_what_is_there(served: Served) -> None:
    service = served.service(ServeSettings(slots=1, lame_duck_seconds=0.3))
    running = Running(service)
    step = thread_of(service).core.scheduler.step
    codes: list[int] = []

    def slow() -> Any:
        time.sleep(0.05)
        return step()

    with running, running.client() as client:
        thread_of(service).core.scheduler.step = slow  # type: ignore[method-assign]
        endless(thread_of(service), cut=True)
        threads = [
            threading.Thread(
                target=lambda: codes.append(
                    httpx.post(f"{running.url}{INFER}", json=ASKED, timeout=60).status_code
                )
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while service.worker.status().slots_used + service.worker.status().reasoning < 4:
            time.sleep(0.005)
        running.server.stop()
        while client.get("/v2/health/ready").status_code == 200:
            time.sleep(0.01)
        assert client.get("/v2/health/live").status_code == 200
        while service.worker.ready:
            time.sleep(0.01)
        late = client.post(INFER, json=ASKED)
        assert late.status_code == 503
        assert late.headers["retry-after"] == "1"
        for thread in threads:
            thread.join(60)
    assert codes == [200] * 4


def test_a_full_queue_is_a_503_and_says_when_to_come_again(served: Served) -> None:
    service = served.service(ServeSettings(slots=1, max_reasoning=1, retry_after=3), index=False)
    with Running(service) as running, running.client() as client:
        endless(thread_of(service))
        long = [threading.Thread(target=_until_closed, args=(running.url,), daemon=True) for _ in range(2)]
        for thread in long:
            thread.start()
        while service.worker.status().reasoning < 1:
            time.sleep(0.005)
        answer = client.post(INFER, json=ALWAYS)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
        assert client.post(INFER, json=ASKED | {"parameters": {"reason": "never"}}).status_code == 200
        metrics = client.get("/metrics").text
        assert 'trace_requests_total{outcome="refused",route="unknown"} 1.0' in metrics
        assert 'trace_queue_length{queue="reasoning"} 1.0' in metrics
        for thread in long:
            thread.join(60)


def _until_closed(url: str) -> None:
    with pytest.raises(httpx.TimeoutException):
        httpx.post(f"{url}{INFER}", json=ALWAYS, timeout=2.0)


def test_more_requests_than_the_server_holds_are_refused_unread(served: Served) -> None:
    service = served.service(ServeSettings(slots=1, max_requests=1, body_seconds=2.0), index=False)
    with Running(service) as running, running.client() as client:
        import socket

        with socket.create_connection(("127.0.0.1", running.server.http_port), 10) as slow:
            slow.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".encode())
            while client.post(INFER, json=ASKED).status_code != 503:
                time.sleep(0.01)
            assert client.get("/v2/health/ready").status_code == 200
            slow.settimeout(30)
            assert b"400" in slow.recv(200).split(b"\r\n")[0]  # the body did not arrive in time
        assert client.post(INFER, json=ASKED).status_code == 200


def test_a_broken_thread_fails_liveness_and_answers(served: Served) -> None:
    service = served.service(ServeSettings(slots=1), index=False)
    with Running(service) as running, running.client() as client:

        def fault() -> Any:
            raise ZeroDivisionError("secret detail")

        endless(thread_of(service))
        thread_of(service).core.scheduler.step = fault  # type: ignore[method-assign]
        answer = client.post(INFER, json=ASKED)
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert client.get("/v2/health/live").status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
        assert client.get(f"/v2/models/{NAME}/ready").status_code == 503
        assert client.post(INFER, json=ASKED).status_code == 500


def test_a_port_in_use_is_named(running: Running) -> None:
    with pytest.raises(TraceError, match=f"{running.server.http_port}"):
        Server(running.service, http_port=running.server.http_port)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["slot=3"], "did you mean 'slots'"),
        (["slots=0"], "slots"),
        (["slots"], "not key=value"),
        (["slots=many"], "slots"),
        (["deadline_ms=1000", "max_deadline_ms=10"], "max_deadline_ms"),
        (["max_items=1000"], "never fits"),
    ],
)
def test_settings_are_checked(overrides: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load_serve(None, overrides)


def test_settings_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("slots: 3\nmax_k: 7\n")
    assert (load_serve(file).slots, load_serve(file, ["slots=5"]).slots) == (3, 5)
    file.write_text("- a\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_serve(file)
    with pytest.raises(ConfigError, match="not found"):
        load_serve(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "none"], "none"),
        (["--manifest", "sha256:0"], "no manifest here"),
        (["--dataset", "x"], "need --embeddings"),
        (["--set", "slot=1"], "did you mean"),
    ],
)
def test_the_command_says_what_is_wrong(
    served: Served, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from trace_retriever.cli import main

    model = [] if "--model" in options else ["--model", str(served.model)]
    with pytest.raises(SystemExit) as ended:
        main(["serve", *model, *options])
    assert ended.value.code in (1, 2)
    assert told in capsys.readouterr().err
