import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trace_retriever.errors import DataError
from trace_retriever.openmoji.scenes import CELLS
from trace_retriever.openmoji.world import FILE, RELATIONS, World


def test_a_world_is_read_as_it_was_written(world: World, tmp_path: Path) -> None:
    world.save(tmp_path)
    again = World.load(tmp_path)
    assert again == world
    assert again.names == world.names
    assert again.vocabulary == world.vocabulary


def test_each_thing_has_each_relation_to_another_thing(world: World) -> None:
    assert set(world.facts) == {(name, relation) for name in world.names for relation in RELATIONS}
    assert all(value in world.names and value != name for (name, _), value in world.facts.items())


def test_a_word_means_one_thing(world: World) -> None:
    assert len(set(world.vocabulary)) == len(world.vocabulary)
    assert not set(world.names) & {*CELLS, *RELATIONS, *world.prompt_words}


def _without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.pop(key)


@pytest.mark.parametrize(
    "change", [_without("facts"), _without("picture_pixels"), lambda raw: raw.update(facts=[["crab"]])]
)
def test_a_damaged_file_is_named(
    world: World, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    world.save(tmp_path)
    raw = json.loads((tmp_path / FILE).read_text())
    change(raw)
    (tmp_path / FILE).write_text(json.dumps(raw))
    with pytest.raises(DataError, match="damaged") as caught:
        World.load(tmp_path)
    assert caught.value.where == str(tmp_path / FILE)


def test_another_data_set_is_no_world(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a made data set"):
        World.load(tmp_path)
