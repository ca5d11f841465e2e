"""Made training curves, as step `train` leaves them in its report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from trace_retriever.cards.curves import LOGGED
from trace_retriever.io.files import digest_tree, write_json

UPDATES = range(10, 910, 10)


def falling(end: float) -> list[float]:
    """A loss that falls to `end`."""
    return [end + 6 * math.exp(-update / 120) for update in UPDATES]


def write_curves(report: Path, model: Path, **curves: Sequence[float]) -> Path:
    """Write a report of a training of `model`; returns its `curves` directory."""
    folder = report / "curves" / LOGGED
    folder.mkdir(parents=True)
    for name, values in (curves or {"loss": falling(0.4)}).items():
        every = len(UPDATES) // len(values)
        write_curve(
            folder / f"{name}.tsv", dict(zip(list(UPDATES)[every - 1 :: every], values, strict=False))
        )
    write_json(report / "manifest.json", {"output": digest_tree(model)})
    return report / "curves"


def write_curve(path: Path, points: Mapping[int, float]) -> None:
    """Write one figure's file."""
    lines = [f"step\t{path.stem}", *(f"{step}\t{value}" for step, value in points.items())]
    path.write_text("\n".join(lines) + "\n")
