import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.openmoji.readers import beside, read_places

from trace_retriever.errors import DataError
from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS, Placed, Scene, SplitRule, draw_from

NAMES = ("crab", "dog", "melon", "bell", "key", "fox")
scenes = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 8), min_size=1, max_size=3).filter(
    lambda placements: len(set(placements.values())) == len(placements)
)


@given(scenes)
def test_a_caption_says_all_there_is(placements: dict[str, int]) -> None:
    scene = Scene.of(placements)
    assert read_places(scene.caption) == {name: CELLS[cell] for name, cell in placements.items()}
    assert scene.placements == placements
    assert [scene.placements[name] for name in scene.names] == sorted(placements.values())
    assert Scene.of(dict(reversed(placements.items()))) == scene


@given(scenes)
def test_what_lies_in_a_direction(placements: dict[str, int]) -> None:
    scene = Scene.of(placements)
    back = {"north": "south", "south": "north", "west": "east", "east": "west"}
    for anchor in scene.names:
        for direction in DIRECTIONS:
            found = [placed.name for placed in scene.beside(anchor, direction)]
            assert found == beside(read_places(scene.caption), anchor, direction)
            for name in found:
                assert anchor in [placed.name for placed in scene.beside(name, back[direction])]


@pytest.mark.parametrize(
    "objects",
    [
        (),
        (Placed(1, "crab"), Placed(0, "dog")),
        (Placed(0, "a"), Placed(0, "b")),
        (Placed(0, "a"), Placed(1, "a")),
    ],
)
def test_what_is_no_scene(objects: tuple[Placed, ...]) -> None:
    with pytest.raises(ValueError, match="not a scene"):
        Scene(objects)


@given(scenes)
def test_a_held_out_placement_is_only_in_test(placements: dict[str, int]) -> None:
    scene, plain = Scene.of(placements), SplitRule(frozenset())
    held = SplitRule(frozenset({("crab", 3)}))
    shows = placements.get("crab") == 3
    assert held.held_out(scene) == (["placement:crab@left"] if shows else [])
    assert held.split(scene) == ("test" if shows else plain.split(scene))


def test_a_split_without_a_scene_says_so() -> None:
    import numpy as np

    everything = SplitRule(frozenset((name, cell) for name in NAMES for cell in range(9)))
    with pytest.raises(DataError, match="no train scene of 2 things in 50 tries"):
        draw_from("train", everything, NAMES, np.random.default_rng(0), 2, tries=50)
