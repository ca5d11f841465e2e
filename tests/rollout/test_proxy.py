"""The split's proxy over HTTP, before real processes that answer, fail, break off and end."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from tests.rollout.conftest import Stands

from trace_retriever.rollout.processes import Serving, free_port
from trace_retriever.rollout.proxy import MAX_BODY, Split
from trace_retriever.rollout.references import Reference
from trace_retriever.rollout.server import proxying
from trace_retriever.rollout.split import goes_to_canary

PATH = "/v2/models/trace-retriever/infer"
BODY = Reference("four").body()
Start = Callable[..., Serving]


@pytest.fixture
def start(stands: Stands, tmp_path: Path) -> Iterator[Start]:
    running: list[Serving] = []

    def started(version: str, *faults: str) -> Serving:
        port = free_port()
        stands.faults[version] = list(faults)
        running.append(Serving(version, stands.words(version, port), port, tmp_path / f"{version}.log"))
        running[-1].wait_ready(60.0)
        return running[-1]

    yield started
    for serving in running:
        serving.stop()


@pytest.fixture
def split(start: Start) -> Iterator[tuple[Split, str]]:
    """A champion, 1.0.0, behind the proxy."""
    made = Split(("1.0.0", start("1.0.0").address), None, salt="s")
    with proxying(made, "127.0.0.1", 0) as address:
        yield made, address


def ask(address: str, request_id: str) -> httpx.Response:
    return httpx.post(address + PATH, json=BODY, headers={"x-request-id": request_id}, timeout=30)


def test_ids_go_where_the_split_says_and_answers_are_whole_from_one_side(
    split: tuple[Split, str], start: Start
) -> None:
    made, address = split
    made.canary, made.percent = ("2.0.0", start("2.0.0").address), 50
    for number in range(20):
        answer = ask(address, f"id-{number}")
        expected = "2" if goes_to_canary(f"id-{number}", 50, "s") else "1"
        assert (answer.status_code, answer.json()["version"]) == (200, expected)
        assert answer.headers["x-trace-served-by"] == f"{expected}.0.0"
    about = httpx.get(f"{address}/split").json()
    assert sum(about["served"].values()) == 20
    assert about["retried"] == 0


@pytest.mark.parametrize(
    "faults",
    [["--errors", "1"], ["--refuse", "1"], ["--break-after", "1"], ["--die-after", "1"]],
    ids=["errors", "refuses", "breaks off", "dies"],
)
def test_where_the_canary_fails_the_champion_answers(
    split: tuple[Split, str], start: Start, faults: list[str]
) -> None:
    made, address = split
    made.canary, made.percent = ("2.0.0", start("2.0.0", *faults).address), 99
    asked = [key for key in map(str, range(60)) if goes_to_canary(key, 99, "s")][:8]
    answers = [ask(address, key) for key in asked]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.json()["version"] for answer in answers[2:]} == {"1"}
    assert made.retried >= 6


def test_what_is_not_for_clients_is_not_passed_on(split: tuple[Split, str]) -> None:
    _, address = split
    for path in ("/metrics", "/admin/index", "/v2/repository/index", "/v2/models/a/../../metrics", "/v2/x"):
        assert httpx.get(address + path).status_code == 404, path
    assert httpx.post(f"{address}/admin/index", json={}).status_code == 404
    assert httpx.get(f"{address}/v2/health/ready").status_code == 200


def test_a_body_is_bounded(split: tuple[Split, str]) -> None:
    _, address = split
    answer = httpx.post(address + PATH, content=b"x" * (MAX_BODY + 1), timeout=60)
    assert answer.status_code == 413


def test_without_anybody_who_answers_the_client_is_told(split: tuple[Split, str]) -> None:
    made, address = split
    made.champion = ("1.0.0", f"http://127.0.0.1:{free_port()}")
    assert ask(address, "a").status_code == 502


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    import os
    import signal
    import subprocess
    import time

    mark = tmp_path / "pid"
    inner = (
        f"import os,time,pathlib; pathlib.Path({str(mark)!r}).write_text(str(os.getpid())); time.sleep(600)"
    )
    outer = (
        "import os,subprocess,sys,time\n"
        f"subprocess.Popen([sys.executable,'-m','trace_retriever.rollout.tether',str(os.getpid()),'--',"
        f"sys.executable,'-c',{inner!r}])\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", outer])
    until = time.monotonic() + 120
    while not mark.exists() or not mark.read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    child = int(mark.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < until, "left behind"
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
