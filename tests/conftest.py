"""What all tests share."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.story.toy import Story

# Before torch is imported: one thread a process (more are slower on a shared machine), and never a download.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

# Processes that tests start find the tests' own workers from any directory.
ROOT = Path(__file__).resolve().parents[1]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))

# A busy machine makes a test slow, not wrong.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run all tests in an empty directory: what the checkout's chain left there is no input of theirs."""
    with contextlib.chdir(tmp_path_factory.mktemp("here")):
        yield


@pytest.fixture(scope="session")
def made_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small made data set, for all tests together: read only."""
    from trace_retriever.config.prepare import OpenmojiSource
    from trace_retriever.openmoji.build import build

    root = tmp_path_factory.mktemp("made") / "mbeir"
    root.mkdir()
    sizes = OpenmojiSource(
        seed=2,
        pictures=20,
        train_simple=12,
        train_hops=24,
        train_relations=24,
        train_edits=24,
        val=8,
        test=24,
        picture_pixels=48,
        held_out=0.3,
    )
    build(sizes, root)
    return root


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> "Story":
    """The chain at toy size, really trained; for all tests together, who may add variants to it."""
    from tests.story.toy import tell

    return tell(tmp_path_factory.mktemp("story"))
