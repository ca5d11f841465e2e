from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trace_retriever.errors import DataError
from trace_retriever.mbeir.pairs import SPLITS, Pair
from trace_retriever.openmoji import sampling
from trace_retriever.openmoji.album import Album
from trace_retriever.openmoji.draft import Draft, Ids
from trace_retriever.openmoji.sampling import Sampler
from trace_retriever.openmoji.scenes import Split
from trace_retriever.openmoji.tasks import changes, questions
from trace_retriever.openmoji.tasks import scenes as tasks
from trace_retriever.openmoji.world import World


def sampler(world: World, split: Split = "train", seed: int = 0) -> Sampler:
    return Sampler(world, split, np.random.default_rng(seed))


@pytest.fixture
def few(world: World) -> World:
    """A world of four pictures that training shows in two cells alone: twenty scenes."""
    names = list(world.glyphs)[:4]
    below = frozenset((name, cell) for name in names for cell in range(2, 9))
    return replace(world, glyphs={name: world.glyphs[name] for name in names}, placements=below)


@pytest.mark.parametrize("split", SPLITS)
def test_scenes_are_of_the_split(world: World, split: Split) -> None:
    draws = sampler(world, split)
    drawn = [draws.scene(least=2) for _ in range(40)]
    assert all(world.rule.split(scene) == split for scene in drawn)
    assert all(2 <= len(scene.objects) <= 3 for scene in drawn)
    held_out = sum(bool(world.rule.held_out(scene)) for scene in drawn)
    assert (held_out > 0) == (split == "test")
    near = draws.neighbours(drawn[0], 6)
    assert 0 < len(near) <= 6
    assert all(world.rule.split(scene) == split for scene in near)


def test_runs_give_so_many_different_scenes(world: World) -> None:
    runs = list(sampler(world).runs(30))
    captions = [scene.caption for run in runs for scene in run]
    assert len(captions) == len(set(captions)) == 30
    for first, *others in runs:
        for other in others:
            shared = set(first.objects) & set(other.objects)
            assert len(first.objects) == len(other.objects)
            assert len(shared) == len(first.objects) - 1


def test_a_draw_that_never_succeeds_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "TRIES", 50)
    tries: list[int] = []

    def draw() -> None:
        tries.append(1)

    with pytest.raises(DataError, match="no blue thing of split val in 50 tries") as caught:
        sampler(world, "val").until("blue thing", draw)
    assert len(tries) == 50
    assert "fewer queries or more pictures" in str(caught.value)


def test_more_than_there_is_ends_in_an_error(
    few: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each family of the benchmark, asked for more than its split holds."""
    monkeypatch.setattr(changes, "TRIES", 20)
    asks: dict[str, Callable[[], object]] = {
        "scene": lambda: list(sampler(few).runs(10_000)),
        "set of things": lambda: tasks.fill_same_things(draft(few, "mojiconcept_task4"), sampler(few), 50),
        "question of two hops": lambda: questions.fill_hops(
            draft(few, "mojihop_task1"), sampler(few), 10_000
        ),
        "edit": lambda: changes.fill_edits(
            draft(few, "mojiedit_task7"), draft(few, "mojiedit_task8"), sampler(few), 10_000
        ),
    }

    def draft(world: World, name: str) -> Draft:
        return Draft(Pair.parse(name), "train", Album(world, tmp_path), Ids())

    for what, ask in asks.items():
        tries = 1000 if what == "set of things" else 300  # scenes of two things are rare here
        monkeypatch.setattr(sampling, "TRIES", tries)
        with pytest.raises(DataError, match=f"no (further )?{what} .*of split train in {tries:,} tries"):
            ask()
