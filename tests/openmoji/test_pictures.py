from itertools import combinations

import numpy as np
import pytest

from trace_retriever.errors import DataError
from trace_retriever.openmoji import pictures
from trace_retriever.openmoji.pictures import choose_glyphs, paint, sprite
from trace_retriever.openmoji.scenes import Scene
from trace_retriever.openmoji.world import World


def test_the_chosen_pictures_differ_and_are_no_reserved_words(world: World) -> None:
    chosen = choose_glyphs(20, world.seed, ["crab"])
    assert len(chosen) == len(set(chosen.values())) == 20
    assert "crab" not in chosen
    assert all(name.isascii() and name.islower() for name in chosen)
    small = [sprite(code, pictures.LIKENESS_SIDE) for code in chosen.values()]
    shown = [one[..., :3] * one[..., 3:] + (1 - one[..., 3:]) * 0.9 for one in small]
    least = min(float(np.sqrt(np.mean((one - other) ** 2))) for one, other in combinations(shown, 2))
    assert least >= pictures.MIN_DISTANCE


def test_too_many_pictures_are_refused() -> None:
    with pytest.raises(DataError, match=r"distinct enough, 5000 asked for[\s\S]*ask for at most"):
        choose_glyphs(5000, 1, [])


def test_things_are_painted_in_their_cells(world: World) -> None:
    name = world.names[0]
    scenes = [Scene.of({name: 0}), Scene.of({name: 8})]
    top, bottom = (
        np.asarray(paint(scene, world.glyphs, 48, np.random.default_rng(1)), np.float32) for scene in scenes
    )
    changed = np.abs(top - bottom).max(-1) > 40
    assert changed[:16, :16].mean() > 0.2
    assert changed[32:, 32:].mean() > 0.2
    assert not changed[16:32].any()


def test_each_painting_is_new_and_seeded(world: World) -> None:
    scene = Scene.of({world.names[0]: 4})
    one, same, other = (
        np.asarray(paint(scene, world.glyphs, 48, np.random.default_rng(seed))) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert one.shape == (48, 48, 3)
