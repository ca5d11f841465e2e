"""Picture sheets: rows of pictures and words, framed and captioned, as one PNG."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.io.files import write_atomic
from trace_retriever.io.images import load_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ASKED, RIGHT, OTHER = "#31445c", "#1a7f37", "#c9ced6"  # frames: the query, what it has to find, anything else
MOST_LETTERS = 130
LETTERS_A_LINE = 27
SIDE, GAP, TITLE, LABEL, WORDS = 1.6, 0.22, 0.27, 0.18, 0.56  # inches
DPI = 110


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One picture with words below it, or words in its place.

    Attributes:
        picture: path relative to the data set's root.
        words: what stands below or in the middle; cut when it is long.
        label: one short line above.
        frame: colour of the frame.
    """

    picture: str | None
    words: str | None
    label: str
    frame: str = OTHER


@dataclass(frozen=True)
class Row:
    """A headline and the cells below it."""

    title: str
    cells: Sequence[Cell]


def draw_sheet(rows: Sequence[Row], root: Path, path: Path) -> None:
    """Draw rows of cells; equal rows give equal bytes.

    Args:
        rows: at least one, each with at least one cell.
        root: of the data set's pictures.
        path: the PNG to write.

    Raises:
        ImageError: a picture is missing or broken; see `load_image`.
    """
    from matplotlib.figure import Figure

    pitch = TITLE + LABEL + SIDE + WORDS
    wide = max(len(row.cells) for row in rows) * (SIDE + GAP) + GAP
    high = len(rows) * pitch + GAP
    figure = Figure(figsize=(wide, high), facecolor="white")
    for number, row in enumerate(rows):
        top = high - GAP / 2 - number * pitch
        figure.text(
            GAP / wide,
            top / high,
            row.title,
            va="top",
            parse_math=False,
            fontsize=9.5,
            weight="bold",
            color=ASKED,
        )
        bottom = top - TITLE - LABEL - SIDE
        for column, cell in enumerate(row.cells):
            left = GAP + column * (SIDE + GAP)
            box = (left / wide, bottom / high, SIDE / wide, SIDE / high)
            _draw(figure.add_axes(box), root, cell)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_atomic(path, buffer.getvalue())


def _draw(axis: "Axes", root: Path, cell: Cell) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(cell.label, fontsize=7.5, color="#5b6675", pad=4, loc="left", parse_math=False)
    for spine in axis.spines.values():
        spine.set(edgecolor=cell.frame, linewidth=1.0 if cell.frame == OTHER else 2.6)
    words = textwrap.fill(textwrap.shorten(cell.words or "", MOST_LETTERS, placeholder=" …"), LETTERS_A_LINE)
    if cell.picture is None:
        axis.set(xlim=(0, 1), ylim=(0, 1), facecolor="#f6f7f9")
        axis.text(0.5, 0.5, words, ha="center", va="center", fontsize=7.5, parse_math=False)
    else:
        axis.imshow(np.asarray(load_image(root, cell.picture)))
        axis.set_xlabel(words, fontsize=7.5, labelpad=4, parse_math=False)
