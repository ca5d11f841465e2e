from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
from tests.review.made import CANDIDATE, CHAMPION, House, make_package, open_house

from trace_retriever.review import users


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The champion's package and the candidate's, which was gated against it."""
    root = tmp_path_factory.mktemp("review")
    champion = make_package(root / "1.0.0", "1.0.0", CHAMPION, 0, None)
    return champion, make_package(root / "1.1.0", "1.1.0", CANDIDATE, 9, champion)


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with its least cost: what it costs is not what these tests are about."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(users, "_hasher", lambda: hasher)
    users._decoy.cache_clear()


@pytest.fixture
def house(tmp_path: Path, packages: tuple[Path, Path]) -> Iterator[House]:
    found = open_house(tmp_path, packages)
    yield found
    found.registry.close()
