from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.openmoji.readers import Places, follow, read_places, section
from tests.openmoji.test_scenes import NAMES, scenes

from trace_retriever.openmoji.edits import (
    OPERATIONS,
    Composed,
    Edit,
    Operation,
    compose,
    draw_composed,
    draw_edit,
    neighbours,
)
from trace_retriever.openmoji.scenes import CELLS, Scene

kinds = st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=2)
seeds = st.integers(0, 2**32)


def drawn(placements: dict[str, int], operations: Sequence[Operation], seed: int) -> Composed | None:
    return draw_composed(Scene.of(placements), operations, NAMES, np.random.default_rng(seed))


@given(scenes, kinds, seeds)
def test_the_request_in_words_leads_to_the_target(
    placements: dict[str, int], operations: list[Operation], seed: int
) -> None:
    composed = drawn(placements, operations, seed)
    if composed is None:
        return
    after, done = follow(read_places(composed.reference.caption), composed.request)
    assert done == operations
    assert composed.operations == "+".join(sorted(operations))
    assert after == read_places(composed.target.caption)
    assert after == read_places(composed.answer.removeprefix("target : "))
    assert 1 <= len(after) <= 3


def read_change(before: Places, change: str) -> Places:
    """The places after a change as a trace states it: `crab left melon , dog top right , key top gone`."""
    stated = [part.split() for part in change.split(" , ")]
    after = {name: cell for name, cell in before.items() if name not in [words[0] for words in stated]}
    for name, *old, outcome in stated:
        assert old == ([before[name]] if name in before else [])  # where it was, if it was
        if outcome in CELLS:
            after[name] = outcome
        elif outcome != "gone":
            after[outcome] = before[name]
    return after


@given(scenes, kinds, seeds)
def test_the_true_trace_states_each_change(
    placements: dict[str, int], operations: list[Operation], seed: int
) -> None:
    composed = drawn(placements, operations, seed)
    if composed is None:
        return
    (reference,) = section(composed.reasoning, "reference")
    places: dict[str, str] = read_places(reference)
    assert reference == composed.reference.caption
    changes = section(composed.reasoning, "change")
    assert len(changes) == len(operations)
    for change in changes:
        places = read_change(places, change)
    assert places == read_places(composed.target.caption)


@given(scenes, kinds, seeds)
def test_edits_touch_different_things_and_leave_the_others(
    placements: dict[str, int], operations: list[Operation], seed: int
) -> None:
    composed = drawn(placements, operations, seed)
    if composed is None:
        return
    touched = [name for edit in composed.edits for name in edit.touches()]
    assert len(touched) == len(set(touched))
    after = composed.target.placements
    assert {n: c for n, c in placements.items() if n not in touched} == {
        n: c for n, c in after.items() if n not in touched
    }


@given(scenes, st.sampled_from(OPERATIONS), seeds)
def test_an_edit_can_be_undone(placements: dict[str, int], operation: Operation, seed: int) -> None:
    edit = draw_edit(placements, operation, NAMES, set(), np.random.default_rng(seed))
    if edit is None:
        assert (operation == "swap" and len(placements) < 2) or (operation == "add" and len(placements) == 3)
        return
    back: dict[str, int | None] = {name: placements.get(name) for name in edit.change}
    there = compose(Scene.of(placements), [edit])
    if not there.result:
        return  # the only thing was removed
    kind: Operation = {"add": "remove", "remove": "add"}.get(operation, operation)  # type: ignore[assignment]
    again = compose(there.target, [Edit(kind, "undo", back)])
    assert again.target == Scene.of(placements)


def test_no_edits_are_no_change() -> None:
    scene = Scene.of({"crab": 3, "dog": 1})
    assert compose(scene, []).target == scene


def test_the_answer_keeps_the_readers_order() -> None:
    """What is replaced gives its place to its successor, what moves keeps it, what is added comes last."""
    reference = Scene.of({"crab": 0, "dog": 4})
    replaced = Edit("replace", "", {"crab": None, "melon": 0})
    moved = Edit("move", "", {"melon": 8})
    added = Edit("add", "", {"key": 0})
    assert compose(reference, [replaced, moved, added]).answer == (
        "target : melon bottomright , dog center , key topleft"
    )


@given(scenes)
def test_neighbours_differ_in_one_name_or_one_place(placements: dict[str, int]) -> None:
    scene = Scene.of(placements)
    found = list(neighbours(scene, NAMES))
    count = len(placements)
    assert len(found) == len(set(found)) == count * (len(NAMES) - count) + count * (len(CELLS) - count)
    for other in found:
        same = set(placements.items()) & set(other.placements.items())
        assert len(same) == count - 1 == len(other.objects) - 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_drawing_is_seeded(operation: Operation) -> None:
    placements = {"crab": 0, "dog": 4}
    one, same = (drawn(placements, [operation], 7) for _ in range(2))
    assert one == same
    assert len({str(drawn(placements, [operation], seed)) for seed in range(20)}) > (
        0 if operation == "swap" else 1
    )
