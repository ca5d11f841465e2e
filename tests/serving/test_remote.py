"""Computing in a process of its own: the same answers and bounds, and what is left when one side ends."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.serving.running import Running, Served, come_and_go

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.errors import CheckpointError, ImageError
from trace_retriever.io.processors import usable_processors
from trace_retriever.mbeir.items import query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.items import Item
from trace_retriever.serving.compute import NICE, Backend
from trace_retriever.serving.core import Core, take_processors
from trace_retriever.serving.errors import Broken, Busy, DeadlineExceeded, Stopping
from trace_retriever.serving.identity import identify
from trace_retriever.serving.remote import RemoteWorker
from trace_retriever.serving.service import Service
from trace_retriever.serving.wire import Ask, Failed, Line, Turn

pytestmark = pytest.mark.timeout(300)
REASONS: tuple[Reason, ...] = ("auto", "never", "always")
Made = Callable[..., RemoteWorker]


@pytest.fixture(scope="module")
def items(served: Served) -> list[Item]:
    """The benchmark's test queries: words, and words with pictures."""
    layout = Layout(served.dataset)
    return [
        query_item(layout, query, pair)
        for pair in layout.pairs("test")
        for query in layout.queries(pair, "test")
    ]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """The event loop of a test, between whose parts it stands still."""
    with asyncio.Runner() as found:
        yield found


@pytest.fixture
def make(served: Served, runner: asyncio.Runner) -> Iterator[Made]:
    """Workers that have started, and end with the test."""
    made: list[RemoteWorker] = []

    def worker(**settings: Any) -> RemoteWorker:
        chosen = ServeSettings(**{"slots": 4, "max_items": 1, **settings})
        made.append(RemoteWorker(served.model, chosen))
        runner.run(made[-1].start())
        return made[-1]

    yield worker
    for one in made:
        runner.run(one.drain(0.0))
        assert one.process.returncode is not None


async def gathered(*calls: Awaitable[Encoded]) -> list[Any]:
    return list(await asyncio.gather(*calls, return_exceptions=True))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def test_its_answers_are_those_of_the_engine(
    runner: asyncio.Runner, served: Served, make: Made, items: list[Item]
) -> None:
    alone, worker = Engine(served.load(), slots=1), make(turn_tokens=64)
    for reason in REASONS:
        found = runner.run(gathered(*(worker.encode(item, reason=reason) for item in items)))
        for own, item in zip(found, items, strict=True):
            other = next(alone.encode([item], reason=reason))
            assert (own.route, own.trace, own.trace_ids) == (other.route, other.trace, other.trace_ids)
            np.testing.assert_allclose(own.vector(reason), other.vector(reason), atol=1e-5)
    status = worker.status()
    assert (status.prompts, status.reasoning, status.slots_used, status.slots) == (0, 0, 0, 4)


def test_it_gives_way_to_connections(make: Made) -> None:
    own, computing = (os.getpriority(os.PRIO_PROCESS, pid) for pid in (0, make().process.pid))
    assert computing == min(19, own + NICE)


def test_one_processor_is_left_to_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        take_processors(ServeSettings(threads=3))
        assert torch.get_num_threads() == 3
        monkeypatch.setenv("OMP_NUM_THREADS", "3")  # torch has read it
        take_processors(ServeSettings())
        assert torch.get_num_threads() == 3
        monkeypatch.delenv("OMP_NUM_THREADS")
        take_processors(ServeSettings())
        assert torch.get_num_threads() == max(1, usable_processors() - 1)
    finally:
        torch.set_num_threads(before)


def test_more_than_it_holds_is_refused_here_before_it_is_sent(runner: asyncio.Runner, make: Made) -> None:
    worker = make(max_waiting=2)

    def slow() -> Item:
        time.sleep(0.5)
        return Item("after red")

    found = runner.run(gathered(*(worker.encode(slow, reason="never") for _ in range(3))))
    assert [type(one) for one in found] == [Encoded, Encoded, Busy]


def test_broken_pictures_and_deadlines_are_told(runner: asyncio.Runner, make: Made, tmp_path: Path) -> None:
    worker = make()
    with pytest.raises(ImageError, match="cannot be read"):
        runner.run(worker.encode(Item(None, tmp_path / "none.png")))
    with pytest.raises(DeadlineExceeded):
        runner.run(worker.encode(Item("after red"), deadline=time.monotonic() - 1.0))
    assert worker.alive
    assert isinstance(runner.run(worker.encode(Item("after red"))), Encoded)


def test_who_goes_leaves_nothing_behind(runner: asyncio.Runner, make: Made, items: list[Item]) -> None:
    worker = make(slots=2, max_reasoning=4, max_waiting=8)

    async def scene() -> list[str]:
        outcomes = await come_and_go(worker, items, 0.1)
        await worker.encode(items[0])  # a turn, which tells how things stand
        await until(lambda: not (worker.status().slots_used or worker.status().prompts))
        return outcomes

    outcomes = runner.run(asyncio.wait_for(scene(), 60))
    assert "answered" in outcomes
    assert not worker._outlet.unanswered
    assert not worker._outlet._jobs
    assert worker._outlet._nbytes == 0


def test_draining_finishes_what_is_there_and_refuses_what_is_new(
    runner: asyncio.Runner, make: Made, items: list[Item]
) -> None:
    worker = make(slots=2)

    async def scene() -> tuple[list[Any], bool, list[Any]]:
        tasks = tuple(asyncio.ensure_future(worker.encode(item, reason="always")) for item in items[:12])
        await asyncio.sleep(0)  # all of them have their places
        draining = asyncio.create_task(worker.drain(60.0))
        await until(lambda: not worker.ready)
        late = await gathered(worker.encode(items[0]))
        return await gathered(*tasks), await draining, late

    answered, whole, late = runner.run(scene())
    assert whole
    assert all(isinstance(one, Encoded) for one in answered)
    assert isinstance(late[0], Stopping)
    assert worker.process.returncode == 0
    assert not worker.alive


def test_a_process_that_is_killed_fails_liveness_and_answers_everybody(
    runner: asyncio.Runner, make: Made, items: list[Item]
) -> None:
    worker = make(slots=1)

    async def scene() -> list[Any]:
        tasks = tuple(asyncio.ensure_future(worker.encode(item, reason="always")) for item in items * 8)
        await until(lambda: worker.status().slots_used > 0)
        worker.process.kill()
        return [*await gathered(*tasks), *await gathered(worker.encode(items[0]))]

    found = runner.run(asyncio.wait_for(scene(), 60))
    assert {type(one) for one in found} <= {Encoded, Broken, Busy}
    assert isinstance(found[-1], Broken)
    assert not worker.alive


def test_a_fault_of_computing_ends_the_line(served: Served) -> None:
    ours, theirs = (Line(end) for end in socket.socketpair())
    model = served.load()
    core = Core(model, ServeSettings(slots=1))
    backend = Backend(core, theirs)

    def fault(*_: object) -> None:
        raise ZeroDivisionError

    core.scheduler.enter = fault  # type: ignore[assignment]
    ours.send(Ask(7, model.prompter.ids("after red", 0, 100), None, None, None, "auto", None))
    assert not backend.run()
    heard = [message for messages in iter(lambda: ours.receive(wait=True), None) for message in messages]
    answer, failed = (one for one in heard if not isinstance(one, Turn))
    assert (answer.number, type(answer.outcome)) == (7, Broken)
    assert isinstance(failed, Failed)
    for line in (ours, theirs):
        line.close()


def test_a_server_without_its_process_says_so(served: Served) -> None:
    worker = RemoteWorker(served.model, ServeSettings(slots=2))
    with Running(Service(worker, identify(served.model))) as running, running.client() as client:
        assert client.get("/v2/health/live").status_code == 200
        worker.process.kill()
        until_broken = time.monotonic() + 60
        while client.get("/v2/health/live").status_code == 200 and time.monotonic() < until_broken:
            time.sleep(0.02)
        assert client.get("/v2/health/live").status_code == 503
        assert client.get("/v2/health/ready").status_code == 503
    assert worker.process.returncode == -signal.SIGKILL


def test_a_model_that_cannot_be_loaded_is_told_at_the_start(served: Served, tmp_path: Path) -> None:
    broken = shutil.copytree(served.model, tmp_path / "model")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    async def start() -> None:
        worker = RemoteWorker(broken, ServeSettings())
        try:
            await worker.start()
        finally:
            await worker.drain(0.0)

    with pytest.raises(CheckpointError):
        asyncio.run(start())


def test_it_ends_with_a_server_that_is_killed(served: Served) -> None:
    code = (
        "import asyncio, time; from pathlib import Path\n"
        "from trace_retriever.config.serve import ServeSettings\n"
        "from trace_retriever.serving.remote import RemoteWorker\n"
        f"worker = RemoteWorker(Path({str(served.model)!r}), ServeSettings())\n"
        "asyncio.run(worker.start()); print(worker.process.pid, flush=True); time.sleep(600)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert server.stdout is not None
    computing = int(server.stdout.readline())
    os.kill(computing, 0)
    server.kill()
    server.wait()
    server.stdout.close()
    ends = time.monotonic() + 60
    while _runs(computing) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not _runs(computing)


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie, which is for whoever adopted it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
