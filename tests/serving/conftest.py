"""One trained-looking tiny model, embedded and served on loopback, for the tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.serving.running import Running, Served, make_served

from trace_retriever.config.serve import ServeSettings


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A model directory, a data set and embeddings of it: read only."""
    torch.set_num_threads(1)
    return make_served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="session")
def running(served: Served) -> Iterator[Running]:
    """A server over it, with an index and a token, for all tests that leave it as it is."""
    with Running(served.service(ServeSettings(slots=4)), token="secret") as found:
        yield found


@pytest.fixture(scope="session")
def picture(served: Served) -> bytes:
    """A PNG file's bytes."""
    return (served.dataset / "mbeir_images" / "red.png").read_bytes()


@pytest.fixture
def copied(served: Served, tmp_path: Path) -> Served:
    """The embeddings in a folder that a test may change."""
    return served.copy(tmp_path)
