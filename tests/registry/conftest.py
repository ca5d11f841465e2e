import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.registry.databases import need_postgresql, new_schema, postgresql
from tests.registry.made import Clock, Packages, World, rules

from trace_retriever.registry.registry import open_registry

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server."""
    with postgresql(need_postgresql()) as address:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database for a test, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/registry.db"
    server = request.getfixturevalue("server")
    return new_schema(server, f"test{next(NUMBERS)}")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    """Registered models for all tests: what they alter is a version of their own."""
    return Packages(tmp_path_factory.mktemp("packages"))


@pytest.fixture
def opened(url: str, packages: Packages, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Opens the test's registry, with chosen rules."""
    worlds: list[World] = []

    def open_world(**values: Any) -> World:
        clock = worlds[0].clock if worlds else Clock()
        registry = open_registry(url, rules(**values), clock, store=tmp_path / "store")
        worlds.append(World(registry, clock, packages))
        return worlds[-1]

    yield open_world
    for world in worlds:
        world.registry.close()


@pytest.fixture
def world(opened: Callable[..., World]) -> World:
    """The test's registry, with the plain rules."""
    return opened()
