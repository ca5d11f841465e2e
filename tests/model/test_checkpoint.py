import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.model.families import write_checkpoint

from trace_retriever.errors import TraceError
from trace_retriever.io.files import digest_file
from trace_retriever.model.checkpoint import INDEX, check_checkpoint, weight_digests, weight_files


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def truncate(path: Path) -> None:
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def index(name: str) -> Callable[[Path], object]:
    return lambda path: (path / INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": name}}))


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no directory": (shutil.rmtree, "not found"),
    "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), "files missing: tokenizer.json"),
    "no weights": (lambda path: (path / "model.safetensors").unlink(), "missing: model.safetensors"),
    "a pickle": (lambda path: (path / "pytorch_model.bin").touch(), "can run code .*pytorch_model.bin"),
    "a hidden pickle": (lambda path: (path / "X.PT").touch(), "can run code .*X.PT"),
    "code": (lambda path: (path / "modeling.py").touch(), "can run code .*modeling.py"),
    "truncated weights": (truncate, "not a whole safetensors file"),
    "no weights inside": (lambda path: (path / "model.safetensors").write_bytes(b"{}"), "safetensors"),
    "own code": (lambda path: edit(path / "config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
    "own tokenizer code": (lambda path: edit(path / "tokenizer_config.json", auto_map={}), "auto_map"),
    "another model": (lambda path: edit(path / "config.json", model_type="llama"), "'llama' is not accepted"),
    "no model type": (lambda path: (path / "config.json").write_text("{}"), "None is not accepted"),
    "no JSON": (lambda path: (path / "config.json").write_text("{"), "not valid JSON"),
    "a list": (lambda path: (path / "config.json").write_text("[]"), "not a JSON object"),
    "a file outside": (index("../model.safetensors"), "outside the checkpoint"),
    "an absolute file": (index("/etc/passwd"), "outside the checkpoint"),
    "a missing shard": (index("model-00001-of-00002.safetensors"), "missing: model-00001"),
    "a tensor elsewhere": (
        lambda path: (path / INDEX).write_text('{"weight_map": {"nothing": "model.safetensors"}}'),
        "nothing is not in its file",
    ),
    "an empty index": (lambda path: (path / INDEX).write_text("{}"), "no weight_map"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_checkpoint_that_is_not_whole_or_not_safe_is_refused(
    checkpoint: Path, tmp_path: Path, name: str
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoint, broken)
    check_checkpoint(broken)
    change, message = BREAKS[name]
    change(broken)
    with pytest.raises(TraceError, match=message) as caught:
        check_checkpoint(broken)
    assert str(broken) in str(caught.value)


def test_shards_are_found_by_their_index(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "sharded", shard="60KB")
    check_checkpoint(path)
    files = weight_files(path)
    assert len(files) > 1
    assert files == sorted(path.glob("model-*.safetensors"))


def test_weights_in_a_cache_must_have_the_digest_that_names_them(checkpoint: Path, tmp_path: Path) -> None:
    path, blobs = tmp_path / "snapshot", tmp_path / "blobs"
    shutil.copytree(checkpoint, path)
    blobs.mkdir()
    digest = digest_file(path / "model.safetensors")
    (path / "model.safetensors").rename(blobs / digest.removeprefix("sha256:"))
    (path / "model.safetensors").symlink_to(blobs / digest.removeprefix("sha256:"))
    assert weight_digests(path) == {"model.safetensors": digest}
    (blobs / digest.removeprefix("sha256:")).rename(blobs / ("0" * 64))
    (path / "model.safetensors").unlink()
    (path / "model.safetensors").symlink_to(blobs / ("0" * 64))
    with pytest.raises(TraceError, match="weights altered"):
        weight_digests(path)
