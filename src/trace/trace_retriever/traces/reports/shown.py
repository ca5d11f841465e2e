"""Queries and targets as cells of a report: pair, words, picture."""

from pathlib import Path

from markupsafe import Markup

from trace_retriever.io.html import picture
from trace_retriever.traces.examples import Example, Shown


def shown_query(example: Example) -> Markup:
    """A query: pair and id, its words, its picture."""
    head = Markup("<b>{}</b> {}<br>").format(example.pair.name, example.qid)
    return head + shown(example.query)


def shown(item: Shown | None) -> Markup:
    """Words and picture; "none" for nothing."""
    if item is None:
        return Markup("none")
    return Markup("<br>").join(
        [
            *([Markup("{}").format(item.text)] if item.text else []),
            *([_thumbnail(item.image)] if item.image else []),
        ]
    )


def _thumbnail(path: Path) -> Markup:
    return picture(path, size=96)
