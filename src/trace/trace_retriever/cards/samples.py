"""An evaluation's sample queries as evidence: what whoever reviews the model sees of it."""

import re
import shutil
from pathlib import Path
from typing import Any

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree

FOLDER = "samples"
_NAME = re.compile(r"samples\.jsonl|pictures/[0-9a-f]{32}\.png")


def copy_samples(evaluation: Path, results: dict[str, Any], evidence: Path) -> None:
    """Copy `samples.jsonl` and `pictures/` into the evidence; an evaluation without them has none to copy.

    Args:
        evaluation: its directory.
        results: the content of its `results.json`, which names the samples by their digest.
        evidence: the directory that gets them.

    Raises:
        DataError: the samples are not those that the evaluation wrote.
    """
    folder, expected = evaluation / FOLDER, results.get("samples")
    if expected is None and not folder.exists():
        return
    files = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    strange = [
        file
        for file in files
        if file.is_symlink() or not _NAME.fullmatch(file.relative_to(folder).as_posix())
    ]
    if strange:
        raise DataError("a file that is no sample", where=strange[0], remedy="run `trace evaluate` again")
    if not files or digest_tree(folder) != expected:
        raise DataError(
            "the samples are not those that the evaluation wrote",
            where=folder,
            remedy="run `trace evaluate` again",
        )
    for file in files:
        target = evidence / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
