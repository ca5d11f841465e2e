from pathlib import Path

import pytest
from tests.validation.made import write_made


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A small data set (`mbeir/`, `routes/`, `kept/`) that meets every expectation; each test has its own."""
    return write_made(tmp_path / "made")
