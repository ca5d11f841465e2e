import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.model.families import build

from trace_retriever.config.backbone import TinySize
from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import digest_file
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.items import Item
from trace_retriever.model.tiny import build_tiny


def assert_equal(one: TraceModel, other: TraceModel, picture: Image.Image) -> None:
    states, others = one.network.state_dict(), other.network.state_dict()
    assert states.keys() == others.keys()
    assert all(torch.equal(states[name], others[name]) for name in states)
    for item in (Item("the crab"), Item("the crab", picture), Item(None, picture)):
        assert one.prompt_ids(item) == other.prompt_ids(item)
    assert (one.emb_id, one.pad_id, one.settings) == (other.emb_id, other.pad_id, other.settings)
    assert one.image_processor == other.image_processor


def test_saving_and_loading_changes_nothing(model: TraceModel, picture: Image.Image, tmp_path: Path) -> None:
    model.save(tmp_path / "one")
    loaded = load_model(tmp_path / "one")
    assert_equal(model, loaded, picture)
    loaded.save(tmp_path / "two")
    digests = [digest_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    assert digests[0] == digests[1]
    assert not loaded.network.training


def test_the_tiny_model_survives_too(picture: Image.Image, tmp_path: Path) -> None:
    tiny = build_tiny(TinySize(hidden=32, layers=1), ["crab", "dog", "the"], pixels=48, seed=0)
    tiny.save(tmp_path)
    assert_equal(tiny, load_model(tmp_path), picture)


def test_the_seed_decides_the_tiny_models_weights() -> None:
    one, same, other = (build_tiny(TinySize(), ["crab"], pixels=48, seed=seed) for seed in (1, 1, 2))
    weights = [model.network.state_dict() for model in (one, same, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    assert 0.5e6 < sum(weight.numel() for weight in one.network.parameters()) < 1.5e6


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    build("qwen2_5_vl").save(tmp_path)
    return tmp_path


def test_missing_weights_are_not_made_up(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    lost = next(name for name in weights if name.endswith("q_proj.weight"))
    del weights[lost]
    save_file(weights, saved / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 weights missing: .*q_proj"):
        load_model(saved)


def test_weights_of_another_shape_are_refused(saved: Path) -> None:
    weights = load_file(saved / "model.safetensors")
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    weights[name] = weights[name][:, :-1].contiguous()
    save_file(weights, saved / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="do not fit"):
        load_model(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "trace backbone"), ("{", "not valid JSON"), ('{"kind": "?"}', "kind"), ('{"x": 1}', "x: Extra")],
)
def test_settings_that_are_missing_or_wrong_are_refused(
    saved: Path, content: str | None, message: str
) -> None:
    (saved / "trace.json").unlink() if content is None else (saved / "trace.json").write_text(content)
    with pytest.raises(Exception, match=message) as caught:
        load_model(saved)
    assert str(saved) in str(caught.value)


def test_a_tokenizer_without_the_token_is_refused(saved: Path) -> None:
    settings = json.loads((saved / "trace.json").read_text()) | {"emb_token": "<|other|>"}
    (saved / "trace.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=r"does not know '<\|other\|>'"):
        _ = load_model(saved).emb_id
