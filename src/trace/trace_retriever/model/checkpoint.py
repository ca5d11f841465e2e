"""What a checkpoint directory must be before anything in it is loaded."""

from pathlib import Path, PurePosixPath
from typing import Any

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import digest_file, read_json

MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
CONFIGS = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
REQUIRED = (*CONFIGS, "tokenizer.json")
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py")
INDEX = "model.safetensors.index.json"
COPY = "copy the whole checkpoint again"


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Check that a directory is a whole, safe checkpoint of a family that is accepted.

    Returns:
        Its `config.json`.

    Raises:
        CheckpointError: not a directory, a file missing, weights that are not safetensors or are incomplete,
            code in the checkpoint, or another kind of model.
    """
    if not path.is_dir():
        raise CheckpointError("model directory not found", where=path)
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise CheckpointError(f"files missing: {', '.join(missing)}", where=path, remedy=COPY)
    unsafe = sorted(file.name for file in path.rglob("*") if file.suffix.lower() in UNSAFE_SUFFIXES)
    if unsafe:
        raise CheckpointError(
            f"files that can run code when loaded: {', '.join(unsafe)}",
            where=path,
            remedy="remove them; only safetensors weights are loaded",
        )
    config = _checked_config(path)
    _check_weights(path)
    return config


def _checked_config(path: Path) -> dict[str, Any]:
    for name in CONFIGS:
        content = read_json(path / name)
        if not isinstance(content, dict):
            raise CheckpointError("not a JSON object", where=path / name, remedy=COPY)
        if "auto_map" in content:
            raise CheckpointError("the checkpoint asks for its own code (auto_map)", where=path / name)
    config: dict[str, Any] = read_json(path / "config.json")
    kind = config.get("model_type")
    if kind not in MODEL_TYPES:
        raise CheckpointError(
            f"model type {kind!r} is not accepted",
            where=path / "config.json",
            remedy=f"use one of {', '.join(MODEL_TYPES)}",
        )
    return config


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a checkpoint, by its index if it has one.

    Raises:
        CheckpointError: the index has another form, or names a file that does not lie beside it.
    """
    return sorted(_tensors_by_file(path))


def _tensors_by_file(path: Path) -> dict[Path, set[str]]:
    """Each weight file with the tensors that the index expects in it; none without an index."""
    index = path / INDEX
    if not index.is_file():
        return {path / "model.safetensors": set()}
    content = read_json(index)
    entries = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise CheckpointError("the index has no weight_map", where=index, remedy=COPY)
    found: dict[Path, set[str]] = {}
    for tensor, name in entries.items():
        if not isinstance(name, str) or PurePosixPath(name).name != name or "\\" in name:
            raise CheckpointError(f"weight file outside the checkpoint: {name!r}", where=index)
        found.setdefault(path / name, set()).add(tensor)
    return found


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    for file, expected in _tensors_by_file(path).items():
        if not file.is_file():
            raise CheckpointError(f"weight file missing: {file.name}", where=path, remedy=COPY)
        try:
            with safe_open(file, framework="np") as tensors:
                found = set(tensors.keys())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"not a whole safetensors file: {error}", where=file, remedy="copy it again"
            ) from None
        if not found:
            raise CheckpointError("weight file without tensors", where=file, remedy=COPY)
        if lacking := sorted(expected - found):
            raise CheckpointError(f"tensor {lacking[0]} is not in its file", where=file, remedy=COPY)


def weight_digests(path: Path) -> dict[str, str]:
    """SHA-256 of each weight file, by name.

    Raises:
        CheckpointError: a file is a link into a Hugging Face cache, which names files by their SHA-256, and
            its content has another one.
    """
    digests = {file.name: digest_file(file) for file in weight_files(path)}
    for name, digest in digests.items():
        stored = (path / name).resolve().name
        if len(stored) == 64 and set(stored) <= set("0123456789abcdef") and digest != f"sha256:{stored}":
            raise CheckpointError(
                f"weights altered: their digest is {digest}", where=(path / name).resolve(), remedy=COPY
            )
    return digests
