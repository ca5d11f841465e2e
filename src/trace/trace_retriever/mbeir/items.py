"""From records to what a model encodes: cleaned words, and a picture's checked path."""

from pathlib import Path

from trace_retriever.io.images import resolve_inside
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import candidate_text, query_text
from trace_retriever.model.items import Item


def query_item(layout: Layout, query: Query, pair: Pair, prompt_index: int | None = 0) -> Item:
    """A query with its instruction, ready to encode.

    Raises:
        DataError: there is no such prompt.
        ImageError: the picture's path leaves the data set.
    """
    text = query_text(layout.instructions, query, pair, prompt_index)
    return Item(text=text, image=_picture(layout, query.query_img_path))


def candidate_item(layout: Layout, candidate: Candidate) -> Item:
    """A candidate, ready to encode; candidates have no instruction.

    Raises:
        ImageError: the picture's path leaves the data set.
    """
    return Item(text=candidate_text(candidate.txt), image=_picture(layout, candidate.img_path))


def _picture(layout: Layout, name: str | None) -> Path | None:
    return resolve_inside(layout.images, name) if name else None
