"""Copying a model directory, with only what cannot run code when it is loaded."""

import shutil
from pathlib import Path

from trace_retriever.errors import DataError

SAFE_SUFFIXES = frozenset({".json", ".jsonl", ".safetensors", ".txt", ".jinja", ".model", ".md"})
SAFE_NAMES = frozenset({"LICENSE", "NOTICE"})
WRITTEN_HERE = ("MODEL_CARD.md", "manifest.json", "evidence")


def check_files(model: Path) -> list[Path]:
    """The files of a model directory, sorted, all of kinds that are only read.

    Raises:
        DataError: a link, a file of another kind (pickles, `.bin`, `.pt`, code), a name that registration
            writes itself, weights that are missing or not safetensors.
    """
    files = sorted(path for path in model.rglob("*") if not path.is_dir() or path.is_symlink())
    for file in files:
        if file.is_symlink():
            raise DataError(
                "a model directory holds no links", where=file, remedy="put the file itself there"
            )
        if file.suffix not in SAFE_SUFFIXES and file.name not in SAFE_NAMES:
            raise DataError(
                f"a file of kind {file.suffix or file.name!r} may run code when it is loaded, or is unknown",
                where=file,
                remedy="keep weights as safetensors and settings as JSON; remove other files",
            )
        if file.relative_to(model).parts[0] in WRITTEN_HERE:
            raise DataError(
                "the directory was registered already", where=file, remedy="register the trained model"
            )
    _check_weights(model, files)
    return files


def _check_weights(model: Path, files: list[Path]) -> None:
    from safetensors import SafetensorError, safe_open

    weights = [file for file in files if file.suffix == ".safetensors"]
    if not weights:
        raise DataError("no safetensors weights", where=model, remedy="run `trace train` first")
    for file in weights:
        try:
            with safe_open(file, framework="np") as tensors:
                tensors.keys()
        except SafetensorError as error:
            raise DataError(
                f"not a whole safetensors file: {error}", where=file, remedy="train again"
            ) from None


def copy_model(model: Path, out: Path) -> None:
    """Copy the checked files of a model directory; see `check_files` for the errors."""
    for file in check_files(model):
        target = out / file.relative_to(model)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
