from collections.abc import Iterator
from pathlib import Path

import argon2
import pytest
from tests.review.made import CANDIDATE, CHAMPION, House, copy_house, make_package, open_house

from trace_retriever.review import users


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The champion's package and the candidate's, which was gated against it."""
    root = tmp_path_factory.mktemp("review")
    champion = make_package(root / "1.0.0", "1.0.0", CHAMPION, 0, None)
    return champion, make_package(root / "1.1.0", "1.1.0", CANDIDATE, 9, champion)


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Argon2 with its least cost: what it costs is not what these tests are about."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(users, "_hasher", lambda: hasher)
        users._decoy.cache_clear()
        yield


@pytest.fixture(scope="session")
def built(
    quick_hashes: None,  # noqa: ARG001 (before the users are made)
    tmp_path_factory: pytest.TempPathFactory,
    packages: tuple[Path, Path],
) -> House:
    """A house to copy."""
    found = open_house(tmp_path_factory.mktemp("built"), packages)
    found.registry.close()
    return found


@pytest.fixture
def house(tmp_path: Path, built: House) -> Iterator[House]:
    found = copy_house(built, tmp_path)
    yield found
    found.registry.close()


@pytest.fixture
def own_house(tmp_path: Path, packages: tuple[Path, Path]) -> Iterator[House]:
    """A house whose packages a test may alter."""
    found = open_house(tmp_path, packages)
    yield found
    found.registry.close()
