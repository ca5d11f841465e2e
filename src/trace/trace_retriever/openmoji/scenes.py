"""Scenes: a few pictures on a three-by-three canvas, the words for them, and the split they belong to."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trace_retriever.errors import DataError

CELLS = (
    "topleft",
    "top",
    "topright",
    "left",
    "center",
    "right",
    "bottomleft",
    "bottom",
    "bottomright",
)
DIRECTIONS = {"north": (-1, 0), "south": (1, 0), "west": (0, -1), "east": (0, 1)}
MOST_OBJECTS = 3
Split = Literal["train", "val", "test"]


@dataclass(frozen=True, order=True, slots=True)
class Placed:
    """One picture in one cell (0 to 8, reading order)."""

    cell: int
    name: str

    @property
    def text(self) -> str:
        """Such as `crab left`."""
        return f"{self.name} {CELLS[self.cell]}"


@dataclass(frozen=True, slots=True)
class Scene:
    """Pictures in distinct cells, in reading order, each name once."""

    objects: tuple[Placed, ...]

    def __post_init__(self) -> None:
        cells = [placed.cell for placed in self.objects]
        if cells != sorted(set(cells)) or len(set(self.names)) != len(cells) or not cells:
            raise ValueError(f"not a scene: {self.objects}")

    @classmethod
    def of(cls, placements: dict[str, int]) -> "Scene":
        """A scene from name → cell."""
        return cls(tuple(sorted(Placed(cell, name) for name, cell in placements.items())))

    @property
    def names(self) -> tuple[str, ...]:
        """Names in reading order."""
        return tuple(placed.name for placed in self.objects)

    @property
    def placements(self) -> dict[str, int]:
        """Name → cell."""
        return {placed.name: placed.cell for placed in self.objects}

    @property
    def caption(self) -> str:
        """Such as `dog top , crab left`."""
        return " , ".join(placed.text for placed in self.objects)

    def beside(self, anchor: str, direction: str) -> list[Placed]:
        """The objects that lie in a direction of the anchor, however far and however much aside."""
        down, right = DIRECTIONS[direction]
        row, column = divmod(self.placements[anchor], 3)
        return [
            placed
            for placed in self.objects
            if (placed.cell // 3 - row) * down + (placed.cell % 3 - column) * right > 0
        ]


@dataclass(frozen=True)
class SplitRule:
    """Which split a scene belongs to: by hash, and to test when it shows a picture where training never does.

    Attributes:
        placements: (name, cell) pairs that appear in test only.
    """

    placements: frozenset[tuple[str, int]]

    def split(self, scene: Scene) -> Split:
        """One in ten to test, one in ten to val, the rest to train."""
        if self.held_out(scene):
            return "test"
        bucket = zlib.crc32(scene.caption.encode()) % 10
        return "test" if bucket == 0 else "val" if bucket == 1 else "train"

    def held_out(self, scene: Scene) -> list[str]:
        """The scene's placements that training never shows, such as `placement:crab@left`."""
        return [
            f"placement:{placed.name}@{CELLS[placed.cell]}"
            for placed in scene.objects
            if (placed.name, placed.cell) in self.placements
        ]


def draw_scene(names: Sequence[str], rng: np.random.Generator, objects: int) -> Scene:
    """A uniformly random scene of so many objects."""
    chosen = rng.choice(len(names), objects, replace=False)
    cells = rng.choice(len(CELLS), objects, replace=False)
    return Scene.of({names[number]: int(cell) for number, cell in zip(chosen, cells, strict=True)})


def draw_from(
    split: Split,
    rule: SplitRule,
    names: Sequence[str],
    rng: np.random.Generator,
    objects: int,
    tries: int = 1000,
) -> Scene:
    """A random scene of a split.

    Raises:
        DataError: none came up in so many tries.
    """
    for _ in range(tries):
        scene = draw_scene(names, rng, objects)
        if rule.split(scene) == split:
            return scene
    raise DataError(
        f"no {split} scene of {objects} things in {tries:,} tries",
        where="prepare.openmoji",
        remedy="ask for more pictures",
    )
