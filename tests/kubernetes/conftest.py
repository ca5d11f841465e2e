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
