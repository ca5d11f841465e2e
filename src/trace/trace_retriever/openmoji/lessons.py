"""Lessons that give a tiny model eyes and words before it learns to retrieve.

They stand in for what a pretrained vision-language model brings along: to name what a picture shows and
where, to know the facts, to copy words, and to look things up in what it has itself written. None of them
edits a scene, chains two facts or compares places: that is what TRACE's training has to teach.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trace_retriever.openmoji.scenes import CELLS, MOST_OBJECTS, Placed, Scene, Split, draw_from
from trace_retriever.openmoji.world import RELATIONS, World

MOST_FILLER = 14
FILLER_SHARE = 0.4
END = ";"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One row of pre-training.

    Attributes:
        scene: what the picture shows, or None for words alone.
        prompt: the words of the prompt.
        given: words after the prompt that the model is given (no loss).
        answer: words that it has to produce.
    """

    scene: Scene | None
    prompt: tuple[str, ...]
    given: tuple[str, ...]
    answer: tuple[str, ...]


@dataclass
class Teacher:
    """Draws lessons.

    Args:
        world: pictures, facts, and the split that keeps val and test scenes out.
        rng: of every draw.
        objects: the most things in a scene; grows while the model learns.
        split: whose scenes to show.
    """

    world: World
    rng: np.random.Generator
    objects: int = MOST_OBJECTS
    split: Split = "train"

    def scene(self) -> Scene:
        """A scene of the split."""
        count = int(self.rng.integers(1, self.objects + 1))
        return draw_from(self.split, self.world.rule, self.world.names, self.rng, count)

    def words(self, most: int, least: int = 0) -> tuple[str, ...]:
        """Some words of the vocabulary, at random."""
        vocabulary = self.world.vocabulary
        chosen = self.rng.integers(len(vocabulary), size=int(self.rng.integers(least, most + 1)))
        return tuple(vocabulary[int(number)] for number in chosen)

    def distinct_words(self, most: int, least: int) -> tuple[str, ...]:
        """Some different words of the vocabulary, at random."""
        vocabulary = self.world.vocabulary
        chosen = self.rng.choice(len(vocabulary), int(self.rng.integers(least, most + 1)), replace=False)
        return tuple(vocabulary[int(number)] for number in chosen)

    def shuffled(self, objects: Sequence[Placed]) -> list[Placed]:
        """The same objects in another order."""
        return [objects[int(number)] for number in self.rng.permutation(len(objects))]

    def asked(self, objects: Sequence[Placed]) -> list[Placed]:
        """One or more of the objects, in a random order."""
        return self.shuffled(objects)[: int(self.rng.integers(1, len(objects) + 1))]


def caption(teacher: Teacher) -> Lesson:
    """Say what the picture shows, after an opening of a trace or none."""
    scene = teacher.scene()
    given = ("reference", ":") if teacher.rng.random() < 0.6 else teacher.words(3)
    return Lesson(scene, (), given, (*scene.caption.split(), END))


def repeated_caption(teacher: Teacher) -> Lesson:
    """Say it twice: the second time from one's own words."""
    scene = teacher.scene()
    words = (*scene.caption.split(), END)
    return Lesson(scene, (), teacher.words(2), words + words)


def thing_at(teacher: Teacher) -> Lesson:
    """Name the thing at a place."""
    scene = teacher.scene()
    placed = teacher.shuffled(scene.objects)[0]
    given = ("object", ":") if teacher.rng.random() < 0.5 else teacher.words(3)
    return Lesson(scene, ("thing", "at", CELLS[placed.cell]), given, (placed.name, CELLS[placed.cell], END))


def place_of(teacher: Teacher) -> Lesson:
    """Say where a thing is."""
    scene = teacher.scene()
    placed = teacher.shuffled(scene.objects)[0]
    given = ("anchor", ":") if teacher.rng.random() < 0.5 else teacher.words(3)
    return Lesson(scene, ("where", placed.name), given, (placed.name, CELLS[placed.cell], END))


def fact(teacher: Teacher) -> Lesson:
    """Answer a question about one fact."""
    name, relation = _fact_key(teacher)
    given = ("step", ":") if teacher.rng.random() < 0.5 else teacher.words(3)
    return Lesson(None, (relation, "of", name), given, (*teacher.world.fact(name, relation).split(), END))


def fact_list(teacher: Teacher) -> Lesson:
    """Complete a fact in a list of facts."""
    *before, asked = [_fact_key(teacher) for _ in range(int(teacher.rng.integers(1, 4)))]
    given = [word for key in before for word in ("step", ":", *teacher.world.fact(*key).split(), END)]
    return Lesson(None, (), (*given, "step", ":", *asked), (teacher.world.facts[asked], END))


def copy(teacher: Teacher) -> Lesson:
    """Say some words again, with or without a picture in sight."""
    words = teacher.distinct_words(10, least=2)
    scene = teacher.scene() if teacher.rng.random() < 0.3 else None
    return Lesson(scene, words, (), (*words, END))


def repeat(teacher: Teacher) -> Lesson:
    """Go on with words that one has said before, again and again."""
    words = teacher.distinct_words(12, least=4)
    shown = int(teacher.rng.integers(1, len(words)))
    return Lesson(None, (), (*words, END, *words[:shown]), (*words[shown:], END, *words, END))


def recall_given(teacher: Teacher) -> Lesson:
    """Look things up in a list that stands in the model's own text."""
    placed = _list_of_things(teacher)
    asked = teacher.asked(placed)
    given = (*teacher.words(4), *_words(teacher.shuffled(placed)), END)
    return Lesson(None, ("where", *(one.name for one in asked)), given, (*_words(asked), END))


def recall_prompt(teacher: Teacher) -> Lesson:
    """Look things up in a list that stands in the prompt."""
    placed = _list_of_things(teacher)
    asked = teacher.asked(placed)
    prompt = (*_words(teacher.shuffled(placed)), END, "where", *(one.name for one in asked))
    return Lesson(None, prompt, (), (*_words(asked), END))


def recall_seen(teacher: Teacher) -> Lesson:
    """Describe the picture, then look things up in the description."""
    scene = teacher.scene()
    asked = teacher.asked(scene.objects)
    prompt = ("where", *(one.name for one in asked))
    return Lesson(scene, prompt, ("reference", ":"), (*scene.caption.split(), END, *_words(asked), END))


Kind = Callable[[Teacher], Lesson]
Mix = tuple[tuple[Kind, int], ...]

WORDS_MIX: Mix = (
    (repeat, 36),
    (fact, 13),
    (fact_list, 13),
    (copy, 13),
    (recall_given, 13),
    (recall_prompt, 12),
)
MIX: Mix = (
    (caption, 14),
    (repeated_caption, 4),
    (thing_at, 4),
    (place_of, 4),
    (fact, 12),
    (fact_list, 4),
    (copy, 8),
    (repeat, 6),
    (recall_given, 16),
    (recall_prompt, 4),
    (recall_seen, 24),
)


def draw_lessons(teacher: Teacher, count: int, mix: Mix = MIX) -> list[Lesson]:
    """So many lessons in the proportions of a mix, some with words around their prompt."""
    weights = np.array([weight for _, weight in mix], float)
    drawn = teacher.rng.choice(len(mix), count, p=weights / weights.sum())
    return [draw_lesson(mix[int(number)][0], teacher) for number in drawn]


def draw_lesson(kind: Kind, teacher: Teacher) -> Lesson:
    """One lesson of a kind."""
    lesson = kind(teacher)
    return lesson if kind is copy else _with_filler(lesson, teacher)  # what to copy has to be all there is


def _with_filler(lesson: Lesson, teacher: Teacher) -> Lesson:
    """Words before or after the prompt, so that nothing hangs on where it starts."""
    if teacher.rng.random() >= FILLER_SHARE:
        return lesson
    filler = teacher.words(MOST_FILLER, least=1)
    return replace(
        lesson, prompt=filler + lesson.prompt if teacher.rng.random() < 0.5 else lesson.prompt + filler
    )


def _fact_key(teacher: Teacher) -> tuple[str, str]:
    names = teacher.world.names
    return names[int(teacher.rng.integers(len(names)))], RELATIONS[int(teacher.rng.integers(len(RELATIONS)))]


def _list_of_things(teacher: Teacher) -> list[Placed]:
    names = teacher.world.names
    count = int(teacher.rng.integers(1, MOST_OBJECTS + 2))
    chosen = teacher.rng.choice(len(names), count, replace=False)
    cells = teacher.rng.choice(len(CELLS), count, replace=False)
    return [Placed(int(cell), names[int(number)]) for number, cell in zip(chosen, cells, strict=True)]


def _words(objects: Sequence[Placed]) -> tuple[str, ...]:
    return tuple(word for placed in objects for word in (*placed.text.split(), ","))[:-1]
