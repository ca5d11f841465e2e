"""What a checkpoint directory must be before anything in it is loaded."""

from pathlib import Path
from typing import Any

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import digest_file, read_json

MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
REQUIRED = ("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json")
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".py")
INDEX = "model.safetensors.index.json"


def check_checkpoint(path: Path) -> dict[str, Any]:
    """Check that a directory is a whole, safe checkpoint of a family that is accepted.

    Returns:
        Its `config.json`.

    Raises:
        CheckpointError: not a directory, a file missing, weights that are not safetensors or are incomplete, code in
            the checkpoint, or another kind of model.
    """
    if not path.is_dir():
        raise CheckpointError("model directory not found", where=path)
    missing = [name for name in REQUIRED if not (path / name).is_file()]
    if missing:
        raise CheckpointError(f"files missing: {', '.join(missing)}", where=path, remedy="copy the whole checkpoint")
    unsafe = sorted(file.name for file in path.rglob("*") if file.suffix in UNSAFE_SUFFIXES)
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
    config: dict[str, Any] = read_json(path / "config.json")
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in MODEL_TYPES:
        raise CheckpointError(
            f"model type {kind!r} is not accepted", where=path / "config.json", remedy=f"use one of {', '.join(MODEL_TYPES)}"
        )
    if "auto_map" in config:
        raise CheckpointError("the checkpoint asks for its own code (auto_map)", where=path / "config.json")
    return config


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a checkpoint, by its index if it has one."""
    index = path / INDEX
    if index.is_file():
        return [path / name for name in sorted(set(read_json(index)["weight_map"].values()))]
    return [path / "model.safetensors"]


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    for file in weight_files(path):
        if file.resolve().parent != file.parent.resolve() and not file.is_symlink():
            raise CheckpointError(f"weight file outside the checkpoint: {file.name!r}", where=path)
        if not file.is_file():
            raise CheckpointError(f"weight file missing: {file.name}", where=path, remedy="copy the whole checkpoint")
        try:
            with safe_open(file, framework="np") as tensors:
                if not tensors.keys():
                    raise CheckpointError("weight file without tensors", where=file)
        except SafetensorError as error:
            raise CheckpointError(f"not a whole safetensors file: {error}", where=file, remedy="copy it again") from None


def checkpoint_digests(path: Path) -> dict[str, str]:
    """SHA-256 of each file of a checkpoint, by name."""
    return {file.name: digest_file(file) for file in sorted(path.iterdir()) if file.is_file()}
