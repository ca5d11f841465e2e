"""Drawing scenes, and runs of scenes that differ in one thing, within a split and within bounds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from trace_retriever.errors import DataError
from trace_retriever.openmoji.edits import neighbours
from trace_retriever.openmoji.scenes import MOST_OBJECTS, Scene, Split, draw_scene
from trace_retriever.openmoji.world import World

TRIES = 5000
RUN = 4
HELD_OUT_SHARE = 0.3
Found = TypeVar("Found")


@dataclass
class Sampler:
    """Draws what belongs to a split.

    In test, three draws in ten are of what training never shows, wherever there is such a thing.
    """

    world: World
    split: Split
    rng: np.random.Generator

    def until(self, what: str, draw: Callable[[], Found | None]) -> Found:
        """Repeat a draw until it succeeds.

        Raises:
            DataError: it does not in `TRIES` tries.
        """
        for _ in range(TRIES):
            found = draw()
            if found is not None:
                return found
        raise self._exhausted(what)

    def fill(self, what: str, count: int, made: Callable[[], int]) -> Iterator[int]:
        """Yield how many are still wanted, round after round, until `made()` has reached `count`.

        Raises:
            DataError: `TRIES` rounds one after another have added nothing.
        """
        idle = 0
        while (before := made()) < count:
            if idle == TRIES:
                raise self._exhausted(f"further {what} (asked for {count:,}, made {before:,})")
            yield count - before
            idle = 0 if made() > before else idle + 1

    def _exhausted(self, what: str) -> DataError:
        return DataError(
            f"no {what} of split {self.split} in {TRIES:,} tries",
            where="prepare.openmoji",
            remedy="ask for fewer queries or more pictures",
        )

    def wants_held_out(self) -> bool:
        """Whether the next draw is to be of what training never shows."""
        return self.split == "test" and bool(self.rng.random() < HELD_OUT_SHARE)

    def accepts(self, scene: Scene) -> bool:
        """Whether a scene belongs to the split."""
        return self.world.rule.split(scene) == self.split

    def like(self, scene: Scene, other: Scene) -> bool:
        """Whether a scene belongs to the split and shows nothing held out unless another one does."""
        held_out = self.world.rule.held_out
        return self.accepts(other) and (bool(held_out(scene)) or not held_out(other))

    def scene(self, least: int = 1, *, held_out: bool | None = None) -> Scene:
        """A scene of at least so many things.

        Args:
            least: how many.
            held_out: whether it shows a picture where training never does; None leaves that to chance.
        """
        held_out = self.wants_held_out() if held_out is None else held_out

        def draw() -> Scene | None:
            count = int(self.rng.integers(least, MOST_OBJECTS + 1))
            scene = draw_scene(self.world.names, self.rng, count)
            fits = self.accepts(scene) and bool(self.world.rule.held_out(scene)) == held_out
            return scene if fits else None

        return self.until("scene", draw)

    def neighbours(self, scene: Scene, most: int) -> list[Scene]:
        """Some scenes of the split that are one thing or place away; nothing held out unless this one is."""
        found = [other for other in neighbours(scene, self.world.names) if self.like(scene, other)]
        return [found[int(number)] for number in self.rng.permutation(len(found))[:most]]

    def runs(self, count: int) -> Iterator[list[Scene]]:
        """`count` different scenes, in runs of up to four that differ from the first in one thing or place.

        Raises:
            DataError: the split has not so many.
        """
        seen: set[str] = set()
        for left in self.fill("scene", count, lambda: len(seen)):
            first = self.scene()
            fresh = [
                scene for scene in (first, *self.neighbours(first, 2 * RUN)) if scene.caption not in seen
            ]
            run = fresh[: min(RUN, left)]
            seen.update(scene.caption for scene in run)
            if run:
                yield run

    def pick(self, items: Sequence[Found]) -> Found:
        """One of some things."""
        return items[int(self.rng.integers(len(items)))]
