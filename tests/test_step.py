from pathlib import Path

import pytest

from trace_retriever.config import SECTIONS
from trace_retriever.step import STEPS


def test_each_step_has_a_params_section_of_its_name() -> None:
    assert list(STEPS) == list(SECTIONS)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_reads_what_an_earlier_one_writes(name: str) -> None:
    names = list(STEPS)
    earlier = {STEPS[other].out for other in names[: names.index(name)]}
    assert set(STEPS[name].inputs.values()) <= earlier


def test_no_two_steps_write_to_one_place() -> None:
    places = [Path(place) for step in STEPS.values() for place in (step.out, step.report)]
    assert len(set(places)) == len(places)
    assert not any(one != other and one.is_relative_to(other) for one in places for other in places)
