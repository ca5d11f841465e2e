"""One small world for all tests of the page: an untrained model that knows its words, and its vectors."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fastapi.testclient import TestClient

from trace_retriever.config.backbone import TinySize
from trace_retriever.config.embed import EmbedConfig
from trace_retriever.demo_app.serve import build
from trace_retriever.model.tiny import build_tiny
from trace_retriever.openmoji.world import World
from trace_retriever.runner import run_step

SIZE = TinySize(
    hidden=32, layers=1, heads=2, mlp=32, vision_hidden=16, vision_layers=1, vision_mlp=16, max_trace_tokens=8
)


def write_model(dataset: Path, path: Path, seed: int = 0) -> Path:
    model = build_tiny(SIZE, World.load(dataset).vocabulary, pixels=48, seed=seed)
    with torch.no_grad():  # lest the last token, a special one, be its own most probable successor
        for parameter in model.network.get_submodule("model.language_model.layers").parameters():
            parameter.mul_(5.0)
    model.save(path)
    return path


@pytest.fixture(scope="session")
def places(made_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Directories of the model, its embeddings and the data set."""
    root = tmp_path_factory.mktemp("demo")
    model = write_model(made_dataset, root / "model")
    run_step(
        "embed",
        EmbedConfig(splits=("test",), global_pool=False, max_trace_tokens=1),
        inputs={"dataset": made_dataset, "model": model},
        out=root / "embeddings",
        report=root / "report",
        work_root=root / "work",
    )
    return model, root / "embeddings", made_dataset


@pytest.fixture(scope="session")
def client(places: tuple[Path, Path, Path]) -> Iterator[TestClient]:
    model, embeddings, dataset = places
    with TestClient(build(model, embeddings, dataset), base_url="http://127.0.0.1") as started:
        yield started
