"""The checkout's tables, profile and results: what is committed is what is tested."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def paper() -> Path:
    return ROOT / "experiments/paper"
