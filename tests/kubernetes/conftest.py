"""Fixtures, and the modules beside the tests."""

import sys
from pathlib import Path

import pytest

from trace_retriever.config.cluster import ClusterSettings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "training"))


@pytest.fixture
def settings() -> ClusterSettings:
    from clusters import cluster  # type: ignore[import-not-found]

    made: ClusterSettings = cluster()
    return made


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small data set and a backbone, read only."""
    from world import make_backbone, make_world  # type: ignore[import-not-found]

    root = tmp_path_factory.mktemp("world")
    make_world(root)
    make_backbone(root / "backbone")
    return root
