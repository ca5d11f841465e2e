"""Training curves as evidence: how the losses and the figures on val went while the model was trained."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_tree, read_json

FOLDER = "curves"
LOGGED = "plots/metrics"  # where step `train` leaves one file a figure, below its curves
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.tsv")
MAX_CURVES, MAX_BYTES = 64, 4_000_000


@dataclass(frozen=True)
class Curve:
    """One figure over the updates of a training.

    Attributes:
        name: of the figure, such as `loss`.
        steps: updates, rising.
        values: the figure at each; may hold what is not finite, where a training went astray.
    """

    name: str
    steps: list[int]
    values: list[float]


def read_curve(path: Path) -> Curve:
    """Read a figure's file: a line of names, then `update <tab> value` a line.

    Raises:
        DataError: it is something else; names the line.
    """
    head, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    if head.split("\t") != ["step", path.stem]:
        raise DataError(f"not a curve: its first line is {head[:60]!r}", where=path, remedy="train again")
    steps, values = [], []
    for number, line in enumerate(lines, start=2):
        step, _, value = line.partition("\t")
        try:
            steps.append(int(step))
            values.append(float(value))
        except ValueError:
            raise DataError(f"line {number} is no point of a curve: {line[:60]!r}", where=path) from None
    return Curve(path.stem, steps, values)


def read_curves(evidence: Path) -> dict[str, Curve]:
    """Figure → curve, of an evidence directory; empty where the model was registered without.

    Raises:
        DataError: a file is no curve, or there are too many.
    """
    return {file.stem: read_curve(file) for file in _checked(evidence / FOLDER)}


def copy_curves(curves: Path, model: Path, evidence: Path) -> None:
    """Copy a training's curves into the evidence, as `curves/<figure>.tsv`; none where it logged none.

    Args:
        curves: what `train` logged: the `curves` directory of its report, or the report.
        model: the directory that it trained.
        evidence: the directory that gets them.

    Raises:
        DataError: the training is that of another model, or a file is no curve.
    """
    report = curves if (curves / "curves").is_dir() else curves.parent
    _check_model(report / "manifest.json", model)
    folder = report / "curves" if report == curves else curves
    for file in _checked(folder / LOGGED):
        read_curve(file)
        (evidence / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(file, evidence / FOLDER / file.name)


def _checked(folder: Path) -> list[Path]:
    """The files of a folder of curves; none where it is not there."""
    files = sorted(folder.glob("*"))
    if len(files) > MAX_CURVES:
        raise DataError(f"{len(files)} curves, at most {MAX_CURVES} are kept", where=folder)
    for file in files:
        if file.is_symlink() or not file.is_file() or not _NAME.fullmatch(file.name):
            raise DataError("a file that is no curve", where=file, remedy="keep other files elsewhere")
        if file.stat().st_size > MAX_BYTES:
            raise DataError(f"a curve of more than {MAX_BYTES:,} bytes", where=file)
    return files


def _check_model(noted: Path, model: Path) -> None:
    """The training's own manifest, where it lies beside, names what came out of it."""
    if noted.is_file() and read_json(noted).get("output") != digest_tree(model):
        raise DataError(
            "these curves are those of another model's training",
            where=noted,
            remedy="name its own with --curves, or train again",
        )
