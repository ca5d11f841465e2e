from pathlib import Path

import pytest
from tests.mbeir.checkout_files import write_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A tiny M-BEIR checkout of its own for each test."""
    return write_checkout(tmp_path / "checkout")
