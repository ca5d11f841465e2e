from pathlib import Path

import pytest
from tests.traces.made import make_dataset

from trace_retriever.mbeir.layout import Layout
from trace_retriever.traces.examples import Example, load_examples


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small made data set: 12 train and 4 val queries of two simple and two complex pairs."""
    return make_dataset(tmp_path_factory.mktemp("made") / "mbeir")


@pytest.fixture(scope="session")
def layout(made: Path) -> Layout:
    return Layout(made)


@pytest.fixture(scope="session")
def examples(layout: Layout) -> list[Example]:
    return list(load_examples(layout, ("train", "val"), prompt_index=0))
