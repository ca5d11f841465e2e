"""Ask a model test queries of a data set: trace, route and what it finds, as text and as a picture sheet."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.errors import DataError
from trace_retriever.io.sheets import ASKED, OTHER, RIGHT, Cell, Row, draw_sheet
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import query_text
from trace_retriever.search.exact import ExactIndex

if TYPE_CHECKING:
    from trace_retriever.model.bundle import TraceModel


@dataclass(frozen=True)
class Answer:
    """What a model made of one query.

    Attributes:
        asked: the query's words, instruction included; None for a picture alone.
        encoded: trace, route and vectors.
        found: the best candidates, best first, with their cosine.
        target_rank: rank of the best positive, from 1; None where the pool holds none (as for some of OVEN).
        pool_size: how many candidates there were.
        threshold: what P(`<|emb|>`) was held against for the route; None where the first token decided.
    """

    pair: Pair
    query: Query
    asked: str | None
    encoded: Encoded
    found: tuple[tuple[Candidate, float], ...]
    target_rank: int | None
    pool_size: int
    threshold: float | None = None


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
        DataError: the data set has no test queries of the pair, or not so many.
    """
    query, pool = _find(layout, pair, number), list(layout.pool(pair, "test"))
    threshold = model.settings.route_threshold
    engine = Engine(model, route_threshold=threshold)
    (encoded,) = engine.encode([query_item(layout, query, pair)], reason=reason)
    items = [candidate_item(layout, candidate) for candidate in pool]
    encoded_pool = engine.encode(items, reason="never", what=f"pool of {pair}")
    vectors = np.stack([done.direct for done in encoded_pool])
    ranking = ExactIndex(vectors).search(encoded.vector(reason)[None], len(pool))
    order, scores = ranking.rows[0].tolist(), ranking.scores[0].tolist()
    positives = {row for row, candidate in enumerate(pool) if candidate.did in query.pos_cand_list}
    return Answer(
        pair=pair,
        query=query,
        asked=query_text(layout.instructions, query, pair, 0),
        encoded=encoded,
        found=tuple((pool[row], score) for row, score in zip(order[:top], scores[:top], strict=True)),
        target_rank=next((rank for rank, row in enumerate(order, 1) if row in positives), None),
        pool_size=len(pool),
        threshold=threshold,
    )


def _find(layout: Layout, pair: Pair, number: int) -> Query:
    known = layout.pairs("test")
    if pair not in known:
        remedy = f"its pairs are {', '.join(one.name for one in known)}"
        raise DataError(f"no test queries of {pair} in this data set", where=layout.root, remedy=remedy)
    queries = list(layout.queries(pair, "test"))
    if number >= len(queries):
        raise DataError(
            f"no test query {number} of {pair}", where=layout.root, remedy=f"take 0 to {len(queries) - 1}"
        )
    return queries[number]


def parse_query(name: str) -> tuple[Pair, int]:
    """Read `pair` or `pair:number`.

    Raises:
        DataError: it is neither.
    """
    pair, colon, number = name.partition(":")
    if colon and not (number.isascii() and number.isdecimal()):
        raise DataError(f"{name!r} does not name a query", remedy="write it like 'mojihop_task1:3'")
    return Pair.parse(pair), int(number or 0)


def describe(answer: Answer) -> str:
    """An answer as a few lines for the terminal."""
    query, encoded = answer.query, answer.encoded
    asked = [answer.asked or "(a picture)", *filter(None, [query.query_img_path])]
    lines = [
        f"query    {'  + '.join(asked)}",
        f"route    {encoded.route}, P(<|emb|>) = {encoded.p_emb:.3g}{_rule(answer.threshold)}",
        *textwrap.wrap(encoded.trace, 96, initial_indent="trace    ", subsequent_indent=" " * 9),
        *_note(encoded),
    ]
    for place, (candidate, score) in enumerate(answer.found, 1):
        mark = "  <- target" if candidate.did in query.pos_cand_list else ""
        shown = "  ".join(part for part in (candidate.txt, candidate.img_path) if part)
        lines.append(f"{f'top {place}':<9}{score:.3f}  {shown}{mark}")
    lines.append(f"target   {_rank(answer)}")
    return "\n".join(lines)


def _note(encoded: Encoded) -> list[str]:
    """What a reader of the trace should know of its end."""
    ends = {
        "garbage": "given up at a special token; searched with the direct vector",
        "time": "given up for time; searched with the direct vector",
    }
    if encoded.truncated:
        return ["note     the trace was cut at its token limit"]
    return [f"note     {ends[encoded.fallback]}"] if encoded.fallback else []


def _rule(threshold: float | None) -> str:
    return "" if threshold is None else f" (simple from {threshold:.3g} on: the route it was registered with)"


def picture_sheet(answers: Sequence[Answer], root: Path, path: Path) -> None:
    """Draw the answers, one a row: the query, then what was found, the target framed in green.

    Args:
        answers: at least one.
        root: of the data set's pictures.
        path: the PNG to write.
    """
    draw_sheet([_row(answer) for answer in answers], root, path)


def _row(answer: Answer) -> Row:
    query = answer.query
    cells = [Cell(picture=query.query_img_path, words=answer.asked, label="query", frame=ASKED)]
    for place, (candidate, score) in enumerate(answer.found, 1):
        frame = RIGHT if candidate.did in query.pos_cand_list else OTHER
        label = f"{place}.  {score:.3f}"
        cells.append(Cell(picture=candidate.img_path, words=candidate.txt, label=label, frame=frame))
    return Row(f"{answer.pair}  ·  {answer.encoded.route}  ·  target: {_rank(answer)}", cells)


def _rank(answer: Answer) -> str:
    if answer.target_rank is None:
        return f"not among the {answer.pool_size} candidates"
    return f"rank {answer.target_rank} of {answer.pool_size}"
