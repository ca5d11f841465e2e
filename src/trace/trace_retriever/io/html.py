"""Reports as one HTML file: sections, tables, inline plots and thumbnails; equal content is equal bytes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from trace_retriever.errors import ImageError
from trace_retriever.io.images import ImageLimits, decode_image

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MISSING = "–"  # noqa: RUF001 (an en dash reads as "none" in a table)


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading (plain text) and its body (markup that is already safe)."""

    heading: str
    html: Markup


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("trace_retriever.io"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(title: str, sections: Sequence[Section]) -> str:
    """A whole HTML document; it loads nothing from elsewhere."""
    return _templates().get_template("page.html.j2").render(title=title, sections=list(sections))


def join(*parts: Markup) -> Markup:
    """Several parts of a section's body, one below the other."""
    return Markup("\n").join(parts)


def paragraph(text: str) -> Markup:
    """A plain paragraph; the text is escaped."""
    return Markup("<p>{}</p>").format(text)


def note(text: str) -> Markup:
    """A paragraph that stands out, such as how to read what follows or what to beware of; escaped."""
    return Markup('<p class="note">{}</p>').format(text)


def table(
    frame: "pd.DataFrame", float_format: str = ".3f", *, caption: str = "", index: bool | None = None
) -> Markup:
    """A data frame as an HTML table.

    Args:
        frame: the rows; a cell of `Markup` (such as a `picture`) is put in as it is, any other is escaped.
        float_format: format specification of floats, such as `.3f` or `.1%`; missing values show as a dash.
        caption: what the table shows.
        index: whether the row labels are shown; by default they are unless they only count the rows.
    """
    import pandas as pd

    if index is None:
        index = not isinstance(frame.index, pd.RangeIndex)
    numeric = [pd.api.types.is_numeric_dtype(frame.dtypes.iloc[i]) for i in range(frame.shape[1])]
    heads = [
        {"name": str(name), "number": number} for name, number in zip(frame.columns, numeric, strict=True)
    ]
    names = ["" if name is None else str(name) for name in frame.index.names] if index else []
    rows = [
        {
            "labels": _labels(label) if index else [],
            "cells": [_cell(value, float_format) for value in values],
        }
        for label, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True)
    ]
    template = _templates().get_template("table.html.j2")
    return Markup(template.render(heads=heads, rows=rows, index_names=names, caption=caption))


def _labels(label: object) -> list[str]:
    return [str(part) for part in label] if isinstance(label, tuple) else [str(label)]


def _cell(value: Any, float_format: str) -> Markup | str:
    import pandas as pd

    if isinstance(value, Markup):
        return value
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return MISSING
    if isinstance(value, float):  # numpy's float64 is one too
        return format(value, float_format)
    return str(value)


def figure(drawing: "Figure", caption: str = "") -> Markup:
    """A matplotlib figure as inline SVG, the same bytes for the same drawing (no date, no random ids)."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "trace", "svg.fonttype": "none"}):
        drawing.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = stream.getvalue()
    inline = Markup(svg[svg.index("<svg") :])  # matplotlib escapes its texts
    return Markup('<figure role="img" aria-label="{}">{}<figcaption>{}</figcaption></figure>').format(
        caption, inline, caption
    )


def picture(path: Path, size: int = 96) -> Markup:
    """A thumbnail inside the page, `size` pixels wide and high at most.

    Raises:
        ImageError: the file is missing, broken, too large or of no known format.
    """
    from PIL import Image

    if not path.is_file():
        raise ImageError("picture not found", where=path)
    image = decode_image(path.read_bytes(), ImageLimits(), where=str(path))
    scale = size / max(image.size)
    shown = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if scale < 1:
        image = image.resize(shown, Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    content = base64.b64encode(stream.getvalue()).decode()
    tag = '<img class="picture" alt="{}" width="{}" height="{}" src="data:image/png;base64,{}">'
    return Markup(tag).format(path.name, shown[0], shown[1], content)


def plain(text: object) -> Markup:
    """Any value as escaped text, to be joined with markup."""
    return escape(str(text))
