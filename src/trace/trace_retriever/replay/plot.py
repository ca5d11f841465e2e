"""The published differences with what the test sets' size makes of them, as one figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trace_retriever.evaluation.plots import COLOURS
from trace_retriever.io.files import write_atomic
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.replay.ablations import against_chosen
from trace_retriever.replay.intervals import Z95, Difference
from trace_retriever.replay.recall import versus
from trace_retriever.replay.tables import OWN, read_ablation, read_recall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIVALS = ("LamRA-Ret", "ELVA")
ABLATIONS = ("position", "parts", "lambda_gen")


def draw(folder: Path) -> "Figure":
    """TRACE minus its nearest rivals by pair, and its ablations at R@5; thick: independent, ticks: nested."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(13, 5.2), layout="constrained")
    axes = drawing.subplots(1, 3)
    recall = read_recall(folder)
    for place, rival in zip(axes, RIVALS, strict=False):
        _lines(place, versus(recall, OWN, rival).parts, f"{OWN} - {rival}, headline figure")
    parts = [part for name in ABLATIONS for part in against_chosen(read_ablation(folder, name))]
    _lines(axes[2], [part for part in parts if part.name.endswith("R@5")], "ablations on CIRR, R@5")
    return drawing


def _lines(axes: "Axes", parts: Sequence[Difference], title: str) -> None:
    for height, part in enumerate(reversed(parts)):
        colour, value = _colour(part.name), 100 * part.value
        wide, narrow = (100 * Z95 * error for error in (part.error, part.least_error))
        axes.plot([value - wide, value + wide], [height, height], color=colour, linewidth=2)
        axes.plot([value - narrow, value + narrow], [height, height], "|", color=colour)
        axes.plot(value, height, "o", color=colour)
    axes.axvline(0, color="#9aa3ad", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(parts)), [part.name for part in reversed(parts)], fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("points, 95 % interval of the test set's size")
    axes.spines[["top", "right"]].set_visible(False)


def _colour(name: str) -> str:
    dataset, found, _ = name.rpartition("_task")
    if not found or not dataset:
        return COLOURS[""]
    return COLOURS["complex" if Pair.parse(name).is_complex else "simple"]


def write_plot(folder: Path, path: Path) -> None:
    """Draw into an SVG file whose bytes depend on the tables alone."""
    from io import BytesIO

    import matplotlib as mpl

    content = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "replay"}):
        draw(folder).savefig(content, format="svg", metadata={"Date": None})
    write_atomic(path, content.getvalue())
