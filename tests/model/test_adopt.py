import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.model.families import FAMILIES, ROWS, SETTINGS, TEMPLATE, bpe_tokenizer, write_checkpoint

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import digest_file, read_json
from trace_retriever.model.adopt import adopt_checkpoint, read_licence
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import load_model
from trace_retriever.model.forward import hidden_states, logits
from trace_retriever.model.items import Item

ACCEPTED = ("apache-2.0",)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_checkpoint_becomes_a_backbone(kind: str, tmp_path: Path, out: Path, picture: Image.Image) -> None:
    source = write_checkpoint(tmp_path / "source", kind)
    before = {file.name: digest_file(file) for file in source.iterdir()}
    made = adopt_checkpoint(source, out, SETTINGS, ACCEPTED)
    weights = source / "model.safetensors"
    assert made == {
        "licence": "apache-2.0",
        "model_type": kind,
        "weights": {"model.safetensors": digest_file(weights)},
    }
    assert (out / "model.safetensors").is_symlink()
    assert (out / "model.safetensors").resolve() == weights
    assert read_json(out / "source.json") == {"licence": "apache-2.0", "weights": made["weights"]}
    assert {file.name: digest_file(file) for file in source.iterdir()} == before

    model = load_model(out)
    assert model.settings == SETTINGS
    assert model.emb_id == len(bpe_tokenizer()) < ROWS
    batch = collate(model, [Row(Item("find the crab", picture)), Row(Item("a dog"))])
    with torch.inference_mode():
        states = hidden_states(model.network, batch)
        assert logits(model.network, states).shape[-1] == ROWS
    assert states.isfinite().all()
    assert model.tokenizer.decode(model.prompt_ids(Item("a dog"))).endswith("<|im_start|>assistant\n")
    assert model.emb_id not in model.prompt_ids(Item("a <|emb|> dog"))


def test_tokens_stay_as_they_were(checkpoint: Path, out: Path) -> None:
    adopt_checkpoint(checkpoint, out, SETTINGS, ACCEPTED)
    before, after = bpe_tokenizer(), load_model(out).tokenizer
    assert {token: after.get_vocab()[token] for token in before.get_vocab()} == before.get_vocab()
    assert set(after.get_vocab()) - set(before.get_vocab()) == {"<|emb|>"}
    assert set(before.all_special_tokens) <= set(after.all_special_tokens)


def test_shards_and_their_index_are_taken_over(tmp_path: Path, out: Path) -> None:
    source = write_checkpoint(tmp_path / "source", shard="60KB")
    made = adopt_checkpoint(source, out, SETTINGS, ACCEPTED)
    assert len(made["weights"]) > 1
    np.testing.assert_equal(load_model(out).network.state_dict()["lm_head.weight"].shape, (ROWS, 32))


@pytest.mark.parametrize(
    ("front", "found"),
    [
        ("license: MIT", "mit"),
        ("license: other\nlicense_name: Qwen-Research", "qwen-research"),
        ("license: other", "other"),
        ("language: en", None),
        ("- a list", None),
    ],
)
def test_the_licence_must_be_accepted(tmp_path: Path, out: Path, front: str, found: str | None) -> None:
    source = write_checkpoint(tmp_path / "source")
    (source / "README.md").write_text(f"---\n{front}\n---\n# A model\n")
    assert read_licence(source) == found
    with pytest.raises(CheckpointError, match="not among those accepted"):
        adopt_checkpoint(source, out, SETTINGS, ACCEPTED)
    assert list(out.iterdir()) == []
    if found:
        assert adopt_checkpoint(source, out, SETTINGS, (*ACCEPTED, found))["licence"] == found


def test_a_model_card_without_front_matter_has_no_licence(tmp_path: Path) -> None:
    assert read_licence(tmp_path) is None
    (tmp_path / "README.md").write_text("# licence: apache-2.0\n")
    assert read_licence(tmp_path) is None
    (tmp_path / "README.md").write_text("---\na: [\n---\n")
    with pytest.raises(CheckpointError, match="not YAML"):
        read_licence(tmp_path)


def test_a_vocabulary_without_a_spare_row_is_refused(tmp_path: Path, out: Path) -> None:
    source = write_checkpoint(tmp_path / "source", rows=len(bpe_tokenizer()))
    with pytest.raises(CheckpointError, match="no spare row"):
        adopt_checkpoint(source, out, SETTINGS, ACCEPTED)


def test_a_chat_template_beside_the_tokenizer_is_used(tmp_path: Path, out: Path) -> None:
    source = write_checkpoint(tmp_path / "source", template=None)
    with pytest.raises(CheckpointError, match="no chat template"):
        adopt_checkpoint(source, out, SETTINGS, ACCEPTED)
    (source / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    adopt_checkpoint(source, out, SETTINGS, ACCEPTED)
    assert (
        load_model(out).tokenizer.decode(load_model(out).prompt_ids(Item("dog"))).startswith("<|im_start|>")
    )
