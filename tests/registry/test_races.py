"""Several at once, in threads and in processes: exactly one decision counts, one promotion wins."""

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.registry.made import ANN, BEN, CIM, DEA, NAME, World, rules

from trace_retriever.registry.errors import Conflict, RegistryError
from trace_retriever.registry.registry import open_registry
from trace_retriever.registry.types import Act, RequestState, State

Opened = Callable[..., World]


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Run acts in threads that start together; returns what each gave or raised."""
    outcomes: list[Any] = [None] * len(acts)
    gate = threading.Barrier(len(acts))

    def run(place: int) -> None:
        gate.wait()
        try:
            outcomes[place] = acts[place]()
        except RegistryError as error:
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def conflicts(outcomes: Sequence[Any]) -> int:
    assert all(not isinstance(one, Exception) or isinstance(one, Conflict) for one in outcomes), outcomes
    return sum(isinstance(one, Conflict) for one in outcomes)


def test_of_two_reviewers_one_decides(world: World) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2", "1.0.3"):
        number = world.requested(version)
        seen = world.registry.version(NAME, version).digests["evidence"]

        def decide(by: str, approve: bool, number: int = number, seen: str = seen) -> Any:
            act = world.registry.approve if approve else world.registry.reject
            return act(number, by=world.who(by), why="seen", evidence=seen)

        outcomes = at_once(lambda: decide(BEN, True), lambda: decide(CIM, False))
        assert conflicts(outcomes) == 1
        assert len(world.registry.request_of(number).decisions) == 1
    assert world.registry.verify_log() == 12


def test_of_two_promotions_and_an_abort_one_wins(opened: Opened) -> None:
    world, other = opened(), opened()
    world.canary("2.0.0")
    outcomes = at_once(
        lambda: world.registry.promote(NAME, "2.0.0", by=world.who(DEA), why="good"),
        lambda: other.registry.promote(NAME, "2.0.0", by=world.who(DEA), why="good"),
        lambda: other.registry.abort_canary(NAME, "2.0.0", by=world.who(DEA), why="bad"),
    )
    assert conflicts(outcomes) == 2
    assert world.registry.verify_log() == 5


def test_of_two_canaries_one_starts(opened: Opened) -> None:
    world, other = opened(), opened()
    world.approved("3.0.0")
    world.approved("3.0.1")
    outcomes = at_once(
        lambda: world.registry.start_canary(NAME, "3.0.0", by=world.who(DEA), why="a"),
        lambda: other.registry.start_canary(NAME, "3.0.1", by=world.who(DEA), why="b"),
    )
    assert conflicts(outcomes) == 1
    assert len(world.registry.versions(NAME, State.CANARY)) == 1


def test_a_rollback_happens_once(opened: Opened) -> None:
    world, other = opened(), opened()
    world.production("4.0.0")
    world.production("4.0.1")
    outcomes = at_once(
        lambda: world.registry.rollback(NAME, by=world.who(DEA), why="slow"),
        lambda: other.registry.rollback(NAME, by=world.who(DEA), why="slow"),
    )
    assert conflicts(outcomes) == 1
    champion = world.registry.champion(NAME)
    assert champion is not None
    assert champion.version == "4.0.0"


def test_an_expiry_is_noted_once_however_many_look(opened: Opened) -> None:
    worlds = [opened() for _ in range(4)]
    number = worlds[0].requested("5.0.0")
    worlds[0].clock.move(days=30)
    outcomes = at_once(*(lambda one=one: one.registry.request_of(number).state for one in worlds))
    assert outcomes == [RequestState.EXPIRED] * 4
    assert [entry.act for entry in worlds[0].registry.log()].count(Act.EXPIRE) == 1


def test_the_same_package_registered_at_once_is_one_version(opened: Opened) -> None:
    worlds = [opened() for _ in range(3)]
    package = worlds[0].packages.make("6.0.0")
    who = worlds[0].who(ANN)
    outcomes = at_once(*(lambda one=one: one.registry.register(package, by=who) for one in worlds))
    assert {version.id for version in outcomes} == {1}
    assert worlds[0].registry.verify_log() == 1


def test_tables_are_made_once_by_many(url: str, tmp_path: Path) -> None:
    outcomes = at_once(*[lambda: open_registry(url, rules(), store=tmp_path)] * 4)
    for registry in outcomes:
        assert registry.verify_log() == 0
        registry.close()


WORKER = """
import sys
from datetime import UTC, datetime
from tests.registry.made import NAME, rules
from trace_retriever.registry.errors import Conflict
from trace_retriever.registry.registry import open_registry

url, who = sys.argv[1:]
registry = open_registry(url, rules(), lambda: datetime(2026, 1, 1, tzinfo=UTC))
print("ready", flush=True)
sys.stdin.readline()
for request in registry.requests():
    seen = registry.version(NAME, request.version).digests["evidence"]
    try:
        registry.approve(request.id, by=registry.actor(who), why="seen", evidence=seen)
        print("won", flush=True)
    except Conflict:
        print("lost", flush=True)
registry.close()
"""


@pytest.mark.slow
def test_of_two_processes_each_decision_is_one_s(world: World, url: str) -> None:
    for number in range(6):
        world.requested(f"7.0.{number}")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in (BEN, CIM)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert sum(words.count("won") for words in said) == 6
    assert sum(words.count("lost") for words in said) == 6
    approved = world.registry.requests(RequestState.APPROVED)
    assert [len(one.decisions) for one in approved] == [1] * 6
    assert world.registry.verify_log() == 18


def test_a_process_killed_within_an_act_leaves_nothing_of_it(world: World, url: str) -> None:
    """The kill comes after the version moved and before the entry is written."""
    world.clock.now = world.clock.now.replace(year=2200)
    number = world.requested("8.0.0")
    script = f"""
import os, signal
from tests.registry.made import rules
from trace_retriever.registry import chain
from trace_retriever.registry.registry import open_registry

chain.entry_hash = lambda entry: os.kill(os.getpid(), signal.SIGKILL)
registry = open_registry({url!r}, rules())
registry.withdraw({number}, by=registry.actor("ann"), why="gone")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    assert world.registry.request_of(number).state == RequestState.OPEN
    world.approve(number)
    assert world.registry.verify_log() == 3
