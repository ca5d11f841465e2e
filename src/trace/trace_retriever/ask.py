"""Ask a model sample queries of a data set: its trace, its route and what it finds, as text and as a picture sheet."""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.engine.encode import encode
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.io.images import load_image
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import query_text
from trace_retriever.search.exact import search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trace_retriever.model.bundle import TraceModel


@dataclass(frozen=True)
class Answer:
    """What a model made of one query.

    Attributes:
        asked: the query's words, instruction included; None for a picture alone.
        encoded: trace, route and vectors.
        found: the best candidates, best first, with their cosine.
        target_rank: rank of the best positive in the pool, from 1.
        pool_size: how many candidates there were.
    """

    pair: Pair
    query: Query
    asked: str | None
    encoded: Encoded
    found: tuple[tuple[Candidate, float], ...]
    target_rank: int
    pool_size: int


def ask(
    model: "TraceModel", layout: Layout, pair: Pair, number: int, *, reason: Reason = "auto", top: int = 5
) -> Answer:
    """Search a pair's test pool for one of its test queries.

    Args:
        model: the model.
        layout: the data set.
        pair: whose queries and pool.
        number: which test query, from 0.
        reason: whether it may write a trace.
        top: how many candidates to return.

    Raises:
        DataError: there is no such query.
    """
    queries = list(layout.queries(pair, "test"))
    if not 0 <= number < len(queries):
        raise DataError(f"{pair} has test queries 0 to {len(queries) - 1}, not {number}", where=layout.root)
    query, pool = queries[number], list(layout.pool(pair, "test"))
    (encoded,) = encode(model, [query_item(layout, query, pair)], reason=reason, what=None)
    items = [candidate_item(layout, candidate) for candidate in pool]
    vectors = np.stack([done.direct for done in encode(model, items, reason="never", what=f"pool of {pair}")])
    ranking = search(encoded.vector(reason)[None], vectors, len(pool))
    order, scores = ranking.rows[0].tolist(), ranking.scores[0].tolist()
    positives = {row for row, candidate in enumerate(pool) if candidate.did in query.pos_cand_list}
    return Answer(
        pair=pair,
        query=query,
        asked=query_text(layout.instructions, query, pair, 0),
        encoded=encoded,
        found=tuple((pool[row], score) for row, score in zip(order[:top], scores[:top], strict=True)),
        target_rank=1 + min(rank for rank, row in enumerate(order) if row in positives),
        pool_size=len(pool),
    )


def parse_query(name: str) -> tuple[Pair, int]:
    """Read `pair` or `pair:number`.

    Raises:
        DataError: it is neither.
    """
    pair, colon, number = name.partition(":")
    if colon and not number.isdecimal():
        raise DataError(f"{name!r} does not name a query", remedy="write it like 'mojihop_task1:3'")
    return Pair.parse(pair), int(number or 0)


def describe(answer: Answer) -> str:
    """An answer as a few lines for the terminal."""
    query, encoded = answer.query, answer.encoded
    lines = [
        f"query    {answer.asked or '(a picture)'}" + (f"  + {query.query_img_path}" if query.query_img_path else ""),
        f"route    {encoded.route}, P(<|emb|>) = {encoded.p_emb:.3f}",
        *textwrap.wrap(encoded.trace, 96, initial_indent="trace    ", subsequent_indent=" " * 9),
    ]
    for place, (candidate, score) in enumerate(answer.found, 1):
        mark = "  <- target" if candidate.did in query.pos_cand_list else ""
        shown = "  ".join(part for part in (candidate.txt, candidate.img_path) if part)
        lines.append(f"{f'top {place}':<9}{score:.3f}  {shown}{mark}")
    lines.append(f"target   rank {answer.target_rank} of {answer.pool_size}")
    return "\n".join(lines)


def picture_sheet(answers: Sequence[Answer], root: Path, path: Path) -> None:
    """Draw the answers, one a row: the query, then what was found, the target framed in green.

    Args:
        answers: at least one.
        root: of the data set's pictures.
        path: the PNG to write.
    """
    from matplotlib.figure import Figure

    columns = 1 + max(len(answer.found) for answer in answers)
    figure = Figure(figsize=(2.2 * columns, 2.9 * len(answers)), layout="constrained")
    axes = figure.subplots(len(answers), columns, squeeze=False)
    for row, answer in zip(axes, answers, strict=True):
        title = f"{answer.pair}, {answer.encoded.route}: target at rank {answer.target_rank}"
        _draw(row[0], root, answer.query.query_img_path, answer.asked, title, "#333333")
        for axis in row[1:]:
            axis.set_axis_off()
        for axis, (candidate, score) in zip(row[1:], answer.found, strict=False):
            right = candidate.did in answer.query.pos_cand_list
            _draw(axis, root, candidate.img_path, candidate.txt, f"{score:.3f}", "#1a7f37" if right else "#cccccc")
    _save(figure, path)


def _draw(axis: "Axes", root: Path, picture: str | None, words: str | None, title: str, edge: str) -> None:
    """One cell: a picture, or words in its place, with a title and a coloured frame."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(title, fontsize=8)
    for spine in axis.spines.values():
        spine.set(edgecolor=edge, linewidth=2.5)
    lines = textwrap.fill(words or "", 26)
    if picture is None:
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axis.text(0.5, 0.5, lines, ha="center", va="center", fontsize=8)
    else:
        axis.imshow(np.asarray(load_image(root, picture)))
        axis.set_xlabel(lines, fontsize=8)


def _save(figure: "Figure", path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomic(path, buffer.getvalue())
