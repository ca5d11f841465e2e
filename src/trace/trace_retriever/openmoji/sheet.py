"""A sheet of example queries of a made data set: what is asked, what is right, and what is nearly right."""

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.io.sheets import ASKED, OTHER, RIGHT, Cell, Row, draw_sheet
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import query_text

SHOWN = (
    "mojicap_task0",
    "mojicap_task2",
    "mojiconcept_task4",
    "mojiobject_task6",
    "mojihop_task1",
    "mojirelation_task6",
    "mojiedit_task7",
    "mojiobject_task8",
)
DISTRACTORS = 4


class Description(BaseModel):
    """One line of `truth/candidates.jsonl`: what a candidate shows and says, in words."""

    did: str
    text: str


def sample_sheet(root: Path, pairs: Sequence[str], count: int, path: Path) -> None:
    """Draw test queries of a made data set, one a row: the query, its positives, the hardest distractors.

    Args:
        root: the data set.
        pairs: names of the pairs to show, in order.
        count: queries of each, spread over its file.
        path: the PNG to write.

    Raises:
        DataError: the data set was not made here, has no such pair, or nothing was asked for.
    """
    layout = Layout(root)
    descriptions = {line.did: line.text for line in read_jsonl(root / "truth/candidates.jsonl", Description)}
    rows = [row for name in pairs for row in _rows(layout, Pair.parse(name), count, descriptions)]
    if not rows:
        raise DataError("no queries to show", where=root, remedy="name at least one pair and a count above 0")
    draw_sheet(rows, root, path)


def _rows(layout: Layout, pair: Pair, count: int, descriptions: dict[str, str]) -> list[Row]:
    queries, pool = list(layout.queries(pair, "test")), list(layout.pool(pair, "test"))
    truths = layout.truth("test") or {}
    chosen = [
        queries[(2 * number + 1) * len(queries) // (2 * count)] for number in range(min(count, len(queries)))
    ]
    rows = []
    for query in chosen:
        truth = truths.get(query.qid)
        title = f"{pair}  ·  {query.qid}" + (f"  ·  {truth.route}" if truth else "")
        rows.append(Row(title, _cells(layout, query, pair, pool, descriptions)))
    return rows


def _cells(
    layout: Layout, query: Query, pair: Pair, pool: Sequence[Candidate], descriptions: dict[str, str]
) -> list[Cell]:
    asked = query_text(layout.instructions, query, pair)
    positives = [candidate for candidate in pool if candidate.did in query.pos_cand_list]
    near = hardest(positives, pool, descriptions)
    return [
        Cell(picture=query.query_img_path, words=asked, label="query", frame=ASKED),
        *(_cell(candidate, "target", RIGHT) for candidate in positives),
        *(_cell(candidate, "distractor", OTHER) for candidate in near),
    ]


def _cell(candidate: Candidate, label: str, frame: str) -> Cell:
    return Cell(picture=candidate.img_path, words=candidate.txt, label=label, frame=frame)


def hardest(
    positives: Sequence[Candidate],
    pool: Sequence[Candidate],
    descriptions: dict[str, str],
    count: int = DISTRACTORS,
) -> list[Candidate]:
    """The candidates whose descriptions share most with a positive's (Jaccard index of words and phrases)."""
    right = {candidate.did for candidate in positives}
    targets = [_features(descriptions[did]) for did in right]

    def nearness(candidate: Candidate) -> float:
        own = _features(descriptions[candidate.did])
        return max((len(own & target) / len(own | target) for target in targets), default=0.0)

    others = [candidate for candidate in pool if candidate.did not in right]
    return sorted(others, key=nearness, reverse=True)[:count]


def _features(description: str) -> set[str]:
    return {*description.split(), *re.split(r" [,;] ", description)} - {",", ";"}
