"""`trace deploy local` as people run it: real servers, signals on the way, and who serves on afterwards."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.registry.made import ANN, BEN, DEA, NAME, ROLES, rules
from tests.rollout.conftest import QUICK
from tests.story.toy import Story

from trace_retriever.registry.registry import Registry, open_registry
from trace_retriever.registry.types import Act, State
from trace_retriever.rollout.errors import RolledBack
from trace_retriever.rollout.references import Reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
FIRST, NEXT, LAST = "0.1.0", "0.2.0", "0.3.0"
INFER = "/v2/models/trace-retriever/infer"
MARK, TETHER = "TRACE_TEST_PLACE", b"rollout.tether"
SECONDS = 300.0


@dataclass
class Deploying:
    """One run of the command, and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait(self, pattern: str) -> str:
        """Wait until it says so; returns the pattern's group."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            ended = self.process.poll() is not None
            if found := re.search(pattern, self.said):
                return found[found.re.groups]
            if ended:
                break
            time.sleep(0.05)
        raise AssertionError(f"it does not say {pattern!r}:\n{self.said}")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@dataclass
class Place:
    """A registry with approved versions, and where the command is run."""

    root: Path
    registry: Registry
    runs: list[Deploying] = field(default_factory=list)

    @contextmanager
    def deploying(self, version: str, *options: str) -> Iterator[Deploying]:
        log = self.root / f"run-{len(self.runs)}.log"
        people = ["--as", DEA, "--url", f"sqlite:///{self.root}/registry.db"]
        where = ["--port", "0", "--logs", str(self.root / "logs"), "--rules", str(self.root / "rules.yaml")]
        trace = [str(Path(sys.executable).with_name("trace")), "deploy", "local", "--version", version]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*trace, *people, *where, *options],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, MARK: str(self.root)},
            )
        self.runs.append(Deploying(process, log))
        yield self.runs[-1]
        process.kill()
        process.wait()

    def state(self, version: str) -> State:
        return self.registry.version(NAME, version).state

    def started(self) -> list[int]:
        """Everything that the command started, directly or not, and that runs now."""
        mark = f"{MARK}={self.root}".encode()
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/environ")
            if mark in _read(path).split(b"\0")
        ]

    def servers(self, version: str = "") -> list[int]:
        """Serving processes of a version, or of all, that run now."""
        manifest = self.registry.version(NAME, version).digests["manifest"] if version else ""
        lines = {pid: _read(Path(f"/proc/{pid}/cmdline")) for pid in self.started()}
        serving = {pid: line for pid, line in lines.items() if b"\0serve\0" in line and TETHER not in line}
        return [pid for pid, line in serving.items() if manifest.encode() in line]

    def is_empty(self) -> bool:
        """Whether all of it ends, by itself, in a while."""
        until = time.monotonic() + 60
        while self.started() and time.monotonic() < until:
            time.sleep(0.1)
        return not self.started()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def place(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A trained version and two that were gated against it, all of them approved; none in production."""
    root = tmp_path_factory.mktemp("place")
    first = story.out("register")
    roles = {who: [role.value for role in given] for who, given in ROLES.items()}
    quick: Any = QUICK.model_copy(update={"max_latency_ratio": 100.0, "ready_seconds": SECONDS})
    content = {"registry": {"roles": roles}, "rollout": quick.model_dump(mode="json")}
    (root / "rules.yaml").write_text(yaml.safe_dump(content))
    with open_registry(f"sqlite:///{root}/registry.db", rules(), store=root / "store") as registry:
        for package in (first, *(story.candidate(version, first) for version in (NEXT, LAST))):
            version = registry.register(package, by=registry.actor(ANN))
            asked = registry.request(version, by=registry.actor(ANN), why="newer")
            evidence = version.digests["evidence"]
            registry.approve(asked.id, by=registry.actor(BEN), why="looked at it", evidence=evidence)
        found = Place(root, registry)
        yield found
        for run in found.runs:
            run.process.kill()
            run.process.wait()


def ask(client: httpx.Client) -> int:
    return client.post(INFER, json=Reference("goose").body()).status_code


def test_the_first_version_of_all_serves_until_it_is_told_to_stop(place: Place) -> None:
    with place.deploying(FIRST, "--traffic", "20", "--keep") as run:
        address = run.wait(r"serving at (\S+);")
        assert place.state(FIRST) is State.PRODUCTION
        assert "step 100 %: passed" in run.said
        with httpx.Client(base_url=address, timeout=60.0) as client:
            assert ask(client) == 200
            assert client.get("/split").json()["percent"] == 100
        assert run.end(signal.SIGTERM) == 0
    assert place.is_empty()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_a_rollout_that_is_ended_on_the_way_decides_nothing(place: Place, number: signal.Signals) -> None:
    _need_champion(place)
    with place.deploying(NEXT, "--no-smoke") as run:
        run.wait(r"step 50 %: begins")
        assert len(place.servers()) == 2
        assert run.end(number) not in (0, RolledBack.exit_code)
        assert "Traceback" not in run.said
    assert place.is_empty()
    assert place.state(NEXT) is State.CANARY
    assert place.registry.log()[-1].act is Act.CANARY


def test_the_same_command_takes_it_up_again(place: Place) -> None:
    _need_champion(place)
    if place.state(NEXT) is State.APPROVED:
        place.registry.start_canary(NAME, NEXT, by=place.registry.actor(DEA), why="killed after this")
    with place.deploying(NEXT, "--traffic", "20") as run:
        assert run.process.wait(SECONDS) == 0, run.said
        assert "taken up again" in run.said
        assert "answers as its model does" in run.said
    assert place.state(NEXT) is State.PRODUCTION
    assert place.is_empty()


def test_clients_do_not_notice_that_the_canary_is_killed(place: Place) -> None:
    _need_champion(place)
    answers: list[int] = []
    with place.deploying(LAST, "--no-smoke") as run:
        address = run.wait(r"clients: (http://[^/\s]+)")
        run.wait(r"step 50 %: begins")
        [canary] = place.servers(LAST)
        gone = threading.Event()

        def keep_asking() -> None:
            with httpx.Client(base_url=address, timeout=60.0) as client:
                while not gone.is_set() and run.process.poll() is None:
                    answers.append(ask(client))

        asking = threading.Thread(target=keep_asking)
        asking.start()
        while len(answers) < 20:
            time.sleep(0.02)
        os.kill(canary, signal.SIGKILL)
        run.wait(r"the canary is gone: its process ended with 137")
        gone.set()
        asking.join()
        assert run.process.wait(SECONDS) == RolledBack.exit_code
    assert set(answers) == {200}
    assert place.state(LAST) is State.RETIRED
    assert place.is_empty()


def _need_champion(place: Place) -> None:
    """Each test may be run alone."""
    if place.registry.champion(NAME) is None:
        by = place.registry.actor(DEA)
        place.registry.start_canary(NAME, FIRST, by=by, why="the first of all")
        place.registry.promote(NAME, FIRST, by=by, why="the first of all")
