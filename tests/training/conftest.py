"""Fixtures: one small data set and backbone for all training tests."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # the worlds and workers beside the tests are plain modules


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launched workers find the modules beside the tests, and no launcher's environment leaks in."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.delenv("RANK", raising=False)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `dataset`, `routes`, `kept`, `validation` and `backbone`."""
    from world import make_backbone, make_world  # type: ignore[import-not-found]

    root = tmp_path_factory.mktemp("world")
    make_world(root)
    make_backbone(root / "backbone")
    return root
