from pathlib import Path

import pytest
from tests.openmoji.readers import Benchmark

from trace_retriever.config.backbone import BackboneConfig, Pretraining, TinySize
from trace_retriever.model.bundle import TraceModel
from trace_retriever.openmoji.pretraining import Classroom, new_backbone, picture_side
from trace_retriever.openmoji.world import World

CONFIG = BackboneConfig(
    tiny=TinySize(hidden=32, layers=1, heads=2, mlp=32, vision_hidden=16, vision_layers=1, vision_mlp=16),
    pretraining=Pretraining(steps=100, batch=12),
)


@pytest.fixture(scope="session")
def benchmark(made_dataset: Path) -> Benchmark:
    return Benchmark(made_dataset)


@pytest.fixture(scope="session")
def world(made_dataset: Path) -> World:
    return World.load(made_dataset)


@pytest.fixture(scope="session")
def untrained(world: World) -> TraceModel:
    return new_backbone(CONFIG, world)


@pytest.fixture(scope="session")
def classroom(untrained: TraceModel, world: World) -> Classroom:
    return Classroom(untrained, world, picture_side(CONFIG))
