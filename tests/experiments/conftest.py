"""One toy study for all tests: every variant and probe, really trained, on the toy chain."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trace_retriever.experiments.places import Places
from trace_retriever.experiments.study import Study, read_study, toy

if TYPE_CHECKING:
    from tests.story.toy import Story

STUDY = Path(__file__).resolve().parents[2] / "experiments/study.yaml"
# one of each kind: what the probes need, and a variant with traces and one with a backbone of its own
SOME = ("trace", "encoder", "encoder-on-traces", "teacher-blind", "small")


@pytest.fixture(scope="session")
def study() -> Study:
    """The committed study at toy size, with some of its variants."""
    small = toy(read_study(STUDY))
    content = small.model_dump(mode="json", by_alias=True)
    content["variants"] = {name: content["variants"][name] for name in SOME}
    content["traces"] = {"blind": content["traces"]["blind"]}
    return Study.model_validate(content, strict=False)


@pytest.fixture(scope="session")
def places(study: Study, story: "Story", tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Where it was run."""
    from trace_retriever.experiments.schedule import run_study

    root = tmp_path_factory.mktemp("study")
    found = Places(story.root, root / "work", root / "results")
    run_study(study, found, jobs=2)
    return found
