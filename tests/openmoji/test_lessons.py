import numpy as np
import pytest
from tests.openmoji.readers import read_places

from trace_retriever.openmoji import lessons as kinds
from trace_retriever.openmoji.lessons import MIX, WORDS_MIX, Kind, Lesson, Teacher, draw_lesson, draw_lessons
from trace_retriever.openmoji.scenes import Split
from trace_retriever.openmoji.world import World

COUNT = 60
KINDS = [kind for kind, _ in MIX]
SPLITS: tuple[Split, ...] = ("train", "val")


def teacher(world: World, split: Split = "train", objects: int = 3, seed: int = 0) -> Teacher:
    return Teacher(world, np.random.default_rng(seed), objects, split)


def drawn(world: World, kind: Kind) -> list[Lesson]:
    """Lessons of a kind as they are, without words around the prompt."""
    one = teacher(world)
    return [kind(one) for _ in range(COUNT)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", SPLITS)
def test_lessons_show_scenes_of_their_split_alone(world: World, kind: Kind, split: Split) -> None:
    for lesson in (draw_lesson(kind, one) for one in [teacher(world, split)] for _ in range(COUNT)):
        if lesson.scene:
            assert world.rule.split(lesson.scene) == split
            assert world.rule.held_out(lesson.scene) == []
        words = {*lesson.prompt, *lesson.given, *lesson.answer}
        assert words <= set(world.vocabulary)
        assert lesson.answer


def test_scenes_are_no_larger_than_the_curriculum_says(world: World) -> None:
    for objects in (1, 2, 3):
        found = draw_lessons(teacher(world, objects=objects), 200)
        sizes = {len(lesson.scene.objects) for lesson in found if lesson.scene}
        assert sizes == set(range(1, objects + 1))


def test_words_come_before_pictures(world: World) -> None:
    shown = [lesson for lesson in draw_lessons(teacher(world), 400, WORDS_MIX) if lesson.scene]
    copying = [lesson for lesson in shown if lesson.answer[:-1] == lesson.prompt]
    assert shown == copying  # only copying may have a picture in sight


def test_filler_stands_around_the_prompt_of_some_lessons(world: World) -> None:
    one = teacher(world)
    found = [draw_lesson(kinds.caption, one) for _ in range(300)]
    filled = sum(bool(lesson.prompt) for lesson in found)
    assert 0.3 < filled / len(found) < 0.5
    assert max(len(lesson.prompt) for lesson in found) == kinds.MOST_FILLER
    copies = [draw_lesson(kinds.copy, one) for _ in range(50)]
    assert all(lesson.prompt == lesson.answer[:-1] for lesson in copies)


def places(words: tuple[str, ...]) -> dict[str, str]:
    return read_places(" ".join(words))


def test_a_caption_says_what_the_picture_shows(world: World) -> None:
    for lesson in drawn(world, kinds.caption) + drawn(world, kinds.repeated_caption):
        assert lesson.scene is not None
        caption = (*lesson.scene.caption.split(), ";")
        assert lesson.answer in (caption, caption + caption)


def test_a_look_up_in_the_picture_is_right(world: World) -> None:
    for lesson in drawn(world, kinds.thing_at) + drawn(world, kinds.place_of):
        assert lesson.scene is not None
        name, cell, end = lesson.answer
        assert read_places(lesson.scene.caption)[name] == cell
        assert lesson.prompt in (("thing", "at", cell), ("where", name))
        assert end == ";"


def test_facts_are_the_worlds(world: World) -> None:
    for lesson in drawn(world, kinds.fact):
        name, relation, value, _ = lesson.answer
        assert lesson.prompt == (relation, "of", name)
        assert world.facts[name, relation] == value
    for lesson in drawn(world, kinds.fact_list):
        steps = " ".join((*lesson.given, *lesson.answer)).split(" ; ")
        for step in steps:
            name, relation, value = step.removesuffix(" ;").removeprefix("step : ").split()
            assert world.facts[name, relation] == value


def test_what_is_repeated_was_there(world: World) -> None:
    for lesson in drawn(world, kinds.repeat):
        said = (*lesson.given, *lesson.answer)
        words = said[: len(said) // 3]
        assert said == words * 3
        assert len(set(words[:-1])) == len(words) - 1
        assert words[-1] == ";"
        assert len(lesson.given) > len(words)  # what comes next can be known


def test_look_ups_in_a_list_are_right(world: World) -> None:
    for lesson in drawn(world, kinds.recall_given):
        assert lesson.given[-1] == ";"
        found = places(lesson.answer[:-1])
        listed = " ".join(lesson.given[:-1])
        assert tuple(found) == lesson.prompt[1:]
        assert all(f"{name} {cell}" in listed for name, cell in found.items())
    for lesson in drawn(world, kinds.recall_prompt):
        end = lesson.prompt.index(";")
        listed_places, found = places(lesson.prompt[:end]), places(lesson.answer[:-1])
        assert found == {name: listed_places[name] for name in lesson.prompt[end + 2 :]}
    for lesson in drawn(world, kinds.recall_seen):
        end = lesson.answer.index(";")
        seen, found = places(lesson.answer[:end]), places(lesson.answer[end + 1 : -1])
        assert lesson.scene is not None
        assert seen == read_places(lesson.scene.caption)
        assert found == {name: seen[name] for name in lesson.prompt[1:]}


def test_lessons_are_seeded(world: World) -> None:
    one, same, other = (draw_lessons(teacher(world, seed=seed), 20) for seed in (1, 1, 2))
    assert one == same != other
