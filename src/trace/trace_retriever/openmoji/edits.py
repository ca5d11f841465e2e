"""Edits of a scene, one operation or two: the request in words, the change, and the scene that results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trace_retriever.openmoji.scenes import CELLS, MOST_OBJECTS, Scene

Operation = Literal["replace", "move", "swap", "add", "remove"]
OPERATIONS: tuple[Operation, ...] = ("replace", "move", "swap", "add", "remove")
GONE = "gone"


@dataclass(frozen=True)
class Edit:
    """One operation on a scene.

    Attributes:
        operation: what is done.
        request: in words, such as `replace crab with melon`.
        change: name → its cell afterwards, or None when it is gone; what the edit states about the result.
    """

    operation: Operation
    request: str
    change: dict[str, int | None]

    def stated(self, before: Mapping[str, int]) -> str:
        """What the edit does to each thing: `crab left melon` (is replaced by), `dog top right` (moves to).

        A thing's old place follows its name, as it does where the thing was named before: to write it is to
        look it up.

        Args:
            before: name → cell of the scene that the edit is done on.
        """
        if self.operation == "replace":
            new, old = sorted(self.change, key=lambda name: name in before)
            return f"{old} {CELLS[before[old]]} {new}"
        return " , ".join(self._outcome(name, cell, before) for name, cell in self.change.items())

    def _outcome(self, name: str, cell: int | None, before: Mapping[str, int]) -> str:
        outcome = GONE if cell is None else CELLS[cell]
        return f"{name} {CELLS[before[name]]} {outcome}" if name in before else f"{name} {outcome}"

    def touches(self) -> set[str]:
        """The names that the edit is about."""
        return set(self.change)


def apply(order: Sequence[tuple[str, int]], edit: Edit) -> list[tuple[str, int]]:
    """Objects (name, cell) after an edit, in the order of a reader who goes through them one by one.

    What is replaced gives its place in the list to its successor, what is moved keeps it, what is added comes
    last.
    """
    added = [
        (name, cell) for name, cell in edit.change.items() if cell is not None and name not in dict(order)
    ]
    result: list[tuple[str, int]] = []
    for name, cell in order:
        if name not in edit.change:
            result.append((name, cell))
        elif (moved := edit.change[name]) is not None:
            result.append((name, moved))
        elif edit.operation == "replace":
            result.append(added.pop())
    return result + added


@dataclass(frozen=True)
class Composed:
    """A reference scene, one or two edits, and the scene they lead to."""

    reference: Scene
    edits: tuple[Edit, ...]
    result: tuple[tuple[str, int], ...]

    @property
    def target(self) -> Scene:
        """The scene that is asked for."""
        return Scene.of(dict(self.result))

    @property
    def request(self) -> str:
        """Such as `replace crab with melon and move dog to top`."""
        return " and ".join(edit.request for edit in self.edits)

    @property
    def operations(self) -> str:
        """The operations' names in alphabetical order, such as `move+swap`."""
        return "+".join(sorted(edit.operation for edit in self.edits))

    @property
    def reasoning(self) -> str:
        """The true reasoning: what the reference shows, then each change."""
        order = [(placed.name, placed.cell) for placed in self.reference.objects]
        text = f"reference : {self.reference.caption} ;"
        for edit in self.edits:
            text += f" change : {edit.stated(dict(order))} ;"
            order = apply(order, edit)
        return text

    @property
    def answer(self) -> str:
        """The true answer: what the target shows."""
        shown = " , ".join(f"{name} {CELLS[cell]}" for name, cell in self.result)
        return f"target : {shown}"


def compose(reference: Scene, edits: Sequence[Edit]) -> Composed:
    """Apply edits in turn."""
    order = [(placed.name, placed.cell) for placed in reference.objects]
    for edit in edits:
        order = apply(order, edit)
    return Composed(reference, tuple(edits), tuple(order))


def draw_composed(
    reference: Scene, operations: Sequence[Operation], names: Sequence[str], rng: np.random.Generator
) -> Composed | None:
    """Random edits of these kinds, each about other objects than those before; None where there are none."""
    edits: list[Edit] = []
    for operation in operations:
        current = compose(reference, edits)
        taken = {name for edit in edits for name in edit.touches()}
        edit = draw_edit(dict(current.result), operation, names, taken, rng)
        if edit is None:
            return None
        edits.append(edit)
    composed = compose(reference, edits)
    return composed if 1 <= len(composed.result) <= MOST_OBJECTS else None


def draw_edit(
    placements: dict[str, int],
    operation: Operation,
    names: Sequence[str],
    taken: set[str],
    rng: np.random.Generator,
) -> Edit | None:
    """A random edit of one kind of the objects not yet taken; None where the scene allows none."""
    subjects = [name for name in placements if name not in taken]
    others = [name for name in names if name not in placements and name not in taken]
    free = [cell for cell in range(len(CELLS)) if cell not in placements.values()]
    needed = {"swap": 2, "add": 0}.get(operation, 1)
    full = operation == "add" and len(placements) >= MOST_OBJECTS
    if len(subjects) < needed or full or not others:
        return None
    picked = [subjects[int(number)] for number in rng.permutation(len(subjects))[:needed]]
    cell = int(rng.choice(free))
    new = others[int(rng.integers(len(others)))]
    return _edit(operation, picked, placements, new, cell)


def _edit(operation: Operation, picked: list[str], placements: dict[str, int], new: str, cell: int) -> Edit:
    if operation == "replace":
        (name,) = picked
        return Edit(operation, f"replace {name} with {new}", {name: None, new: placements[name]})
    if operation == "move":
        (name,) = picked
        return Edit(operation, f"move {name} to {CELLS[cell]}", {name: cell})
    if operation == "swap":
        one, two = picked
        return Edit(operation, f"swap {one} and {two}", {one: placements[two], two: placements[one]})
    if operation == "add":
        return Edit(operation, f"add {new} {CELLS[cell]}", {new: cell})
    (name,) = picked
    return Edit(operation, f"remove {name}", {name: None})


def neighbours(scene: Scene, names: Sequence[str]) -> Iterator[Scene]:
    """All scenes that differ from this one in one object's name or place."""
    placements = scene.placements
    free = [cell for cell in range(len(CELLS)) if cell not in placements.values()]
    for name, cell in placements.items():
        rest = {other: place for other, place in placements.items() if other != name}
        for new in names:
            if new not in placements:
                yield Scene.of({**rest, new: cell})
        for place in free:
            yield Scene.of({**rest, name: place})
