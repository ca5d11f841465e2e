from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.evaluation.colours import NAMES, OTHER

from trace_retriever.config.backbone import TinySize
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.items import Item
from trace_retriever.model.tiny import build_tiny

# Heads of 64 and patches of 14 pixels, as attention kernels on GPUs want them.
SIZE = TinySize(
    hidden=128, layers=2, heads=2, mlp=128, vision_hidden=128, vision_layers=1, vision_heads=2, vision_mlp=64,
    patch=14, max_trace_tokens=10,
)  # fmt: skip


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with random weights, sharpened until traces have various lengths and ends."""
    model = build_tiny(SIZE, [*NAMES, *OTHER], pixels=56, seed=1)
    with torch.no_grad():
        network: Any = model.network
        for weight in network.model.language_model.layers.parameters():
            if weight.ndim > 1:
                weight.mul_(3.0)
        network.get_input_embeddings().weight[model.emb_id] *= 4.0
    path = tmp_path_factory.mktemp("backends") / "model"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def model(directory: Path) -> TraceModel:
    """The same model in this process, to compare with."""
    return load_model(directory)


@pytest.fixture(scope="session")
def items(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Item]:
    """Texts, pictures and both; some pictures are files."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    found = []
    for number in range(24):
        image: Image.Image | Path = Image.fromarray(rng.integers(0, 256, (56, 40, 3), dtype=np.uint8))
        if number % 2 and isinstance(image, Image.Image):
            image.save(folder / f"{number}.png")
            image = folder / f"{number}.png"
        text = " ".join(rng.choice([*NAMES, *OTHER], rng.integers(1, 15)))
        found.append([Item(text), Item(None, image), Item(text, image)][number % 3])
    return found
