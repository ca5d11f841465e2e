import shutil
from pathlib import Path

import pytest
from tests.bulk.toy import SPEC
from tests.evaluation.colours import build_model, write_benchmark

from trace_retriever.bulk.keys import Keys, way
from trace_retriever.errors import ImageError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.model.items import Item
from trace_retriever.model.pictures import PictureReader


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("keys")
    write_benchmark(root)
    build_model().save(root / "model")
    return root


def test_a_key_is_of_content_not_of_place(world: Path, tmp_path: Path) -> None:
    red = world / "mbeir_images/red.png"
    copy = Path(shutil.copy(red, tmp_path / "other.png"))
    keys = Keys("way", PictureReader(SPEC), 2)
    items = [
        Item(text="a"), Item(text="a"), Item(text="b"), Item(image=red), Item(image=copy),
        Item(text="a", image=red), Item(image=world / "mbeir_images/blue.png"),
    ]  # fmt: skip
    found = keys.of(items)
    assert (found[0] == found[1], found[3] == found[4]) == (True, True)
    assert len(set(found)) == 5
    assert not set(found) & set(Keys("other", PictureReader(SPEC), 1).of(items))
    assert {len(key) for key in found} == {32}


def test_a_missing_picture_is_named(world: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot be read"):
        Keys("way", PictureReader(SPEC), 1).of([Item(image=world / "none.png")])


@pytest.mark.parametrize(
    ("field", "value", "candidates", "queries"),
    [
        ("max_pixels", 4096, True, True),
        ("max_prompt_tokens", 99, True, True),
        ("max_trace_tokens", 11, False, True),
        ("kind", "encoder", False, True),
    ],
)
def test_a_setting_of_the_model_counts_where_it_matters(
    world: Path, tmp_path: Path, field: str, value: object, candidates: bool, queries: bool
) -> None:
    model = tmp_path / "model"
    shutil.copytree(world / "model", model)
    before = way("candidate", model), way("query", model)
    write_json(model / "trace.json", read_json(model / "trace.json") | {field: value})
    assert (way("candidate", model) != before[0], way("query", model) != before[1]) == (candidates, queries)


def test_weights_tokens_kind_and_number_types_count(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "model", tmp_path / "model")
    found = {way("candidate", tmp_path / "model"), way("candidate", tmp_path / "model", dtype="bfloat16")}
    found.add(way("query", tmp_path / "model"))
    for name in ("model.safetensors", "tokenizer.json", "preprocessor_config.json"):
        path = tmp_path / "model" / name
        path.write_bytes(path.read_bytes() + b" ")
        found.add(way("candidate", tmp_path / "model"))
    assert len(found) == 6
