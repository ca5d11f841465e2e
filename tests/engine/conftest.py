from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image
from tests.evaluation.colours import NAMES, OTHER, build_model

from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


@pytest.fixture(scope="session")
def model() -> TraceModel:
    return build_model()


@pytest.fixture(scope="session")
def items() -> Sequence[Item]:
    """Texts of many lengths, pictures of several sizes, and both."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(30):
        side = 16 * int(rng.integers(1, 3))
        image = Image.fromarray(rng.integers(0, 256, (side, 32, 3), dtype=np.uint8))
        text = " ".join(rng.choice([*NAMES, *OTHER], rng.integers(1, 15)))
        found.append([Item(text), Item(None, image), Item(text, image)][number % 3])
    return found
