from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.model.families import FAMILIES, build, write_checkpoint

from trace_retriever.model.bundle import TraceModel


@pytest.fixture(scope="session", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> TraceModel:
    """A tiny random model of each family in turn."""
    return build(request.param)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published checkpoint: copy it before changing it."""
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """48 x 32 pixels: six patches by four, six tokens."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8))
