"""A registry with an approved version, and what starts stand-ins for its serving processes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.registry.made import Clock, Packages, World, rules

from trace_retriever.config.rollout import RolloutRules, SmokeRules
from trace_retriever.registry.registry import open_registry
from trace_retriever.registry.types import Version

STAND_IN = Path(__file__).with_name("stand_in.py")
QUICK = RolloutRules(
    steps=(50,),
    step_seconds=0.2,
    max_step_seconds=60.0,
    poll_seconds=0.1,
    min_requests=40,
    max_error_increase=0.15,
    max_refusal_increase=0.15,
    max_slow_increase=0.3,
    lost_after=20,  # two seconds: a process that ended is known to have, before it is only silent
    ready_seconds=30.0,
    smoke=SmokeRules(requests=10, rate=50.0),
)


@dataclass
class Stands:
    """Starts stand-ins; `faults`: version → words of their command line."""

    faults: dict[str, list[str]] = field(default_factory=dict)

    def command(self, version: Version, port: int) -> list[str]:
        return self.words(version.version, port)

    def words(self, version: str, port: int) -> list[str]:
        number = version.split(".")[0]
        return [sys.executable, str(STAND_IN), str(port), "--version", number, *self.faults.get(version, [])]


@pytest.fixture
def stands() -> Stands:
    return Stands()


@pytest.fixture(scope="session")
def made_packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    return Packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def open_world(tmp_path: Path, made_packages: Packages) -> Iterator[Callable[[], World]]:
    """Opens the same registry, again and again."""
    worlds: list[World] = []

    def opened() -> World:
        registry = open_registry(f"sqlite:///{tmp_path}/registry.db", rules())
        worlds.append(World(registry, Clock(), made_packages))
        return worlds[-1]

    yield opened
    for world in worlds:
        world.registry.close()


@pytest.fixture
def world(open_world: Callable[[], World]) -> World:
    """1.0.0 in production, 2.0.0 approved."""
    found = open_world()
    found.production("1.0.0")
    found.approved("2.0.0")
    return found
