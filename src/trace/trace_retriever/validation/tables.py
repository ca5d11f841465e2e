"""Which files hold what of a data set, and its qrels as a table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from trace_retriever.errors import DataError
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.validation.spool import Spool, write_rows

QUERY = ("split", "pair", "qid")
"""The columns that tell queries apart."""
JUDGED = (*QUERY, "did")
"""The columns that tell judgements, and positives of queries, apart."""
_TEXT, _NUMBER = pa.string(), pa.int64()
QRELS = pa.schema(
    {
        "split": _TEXT,
        "pair": _TEXT,
        "pair_task": _NUMBER,
        "line": _NUMBER,
        "qid": _TEXT,
        "did": _TEXT,
        "relevance": _NUMBER,
        "task_id": _NUMBER,
        "problem": _TEXT,
    }
)


def splits_of(layout: Layout) -> dict[Split, list[Pair]]:
    """Split → its pairs, for the splits that the data set has."""
    present: dict[Split, list[Pair]] = {}
    for split in SPLITS:
        if (layout.root / "query" / split).is_dir():
            present[split] = layout.pairs(split)
    return present


def query_file(layout: Layout, pair: Pair, split: Split) -> Path:
    """The file that holds a pair's queries: its own or, in train, its data set's."""
    own, mixed = layout.files.queries(pair, split), layout.files.dataset_queries(pair.dataset)
    return mixed if split == "train" and not own.exists() and mixed.exists() else own


def qrels_file(layout: Layout, pair: Pair, split: Split) -> Path:
    """The file that holds a pair's qrels: its own or, in train, its data set's."""
    own, mixed = layout.files.qrels(pair, split), layout.files.dataset_qrels(pair.dataset)
    return mixed if split == "train" and not own.exists() and mixed.exists() else own


def qrels_table(layout: Layout, work: Path) -> Spool:
    """One row a line of a qrels file: split, pair, pair_task, line, qid, did, relevance, task_id, problem.

    Raises:
        DataError: a file is missing or is not UTF-8.
    """
    homes = [(split, pair) for split, pairs in splits_of(layout).items() for pair in pairs]
    for split, pair in homes:
        what = f"reading {split} qrels of {pair.name}"
        rows = progress(_qrels_rows(layout, pair, split), what, unit="line")
        write_rows(work / "qrels" / f"{split}_{pair.name}.parquet", QRELS, rows)
    categories: dict[str, list[str]] = {
        "split": sorted({split for split, _ in homes}),
        "pair": sorted({pair.name for _, pair in homes}),
    }
    return Spool(work / "qrels", [f"{split}_{pair.name}" for split, pair in homes], categories)


def _qrels_rows(layout: Layout, pair: Pair, split: Split) -> Iterator[tuple[Any, ...]]:
    path = qrels_file(layout, pair, split)
    mixed = path != layout.files.qrels(pair, split)
    for number, line in _lines(path):
        cells = line.split()
        if cells and not (mixed and cells[-1] != str(pair.task)):
            yield (split, pair.name, pair.task, number, *_judgement(cells))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line
    except FileNotFoundError:
        raise DataError("qrels not found", where=path, remedy="run `trace prepare` again") from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8, after line {number}: {error}", where=path) from None


def _judgement(cells: list[str]) -> tuple[Any, ...]:
    """qid, did, relevance, task_id, problem."""
    whole = len(cells) == 5 and all(_is_number(cell) for cell in cells[3:])
    if not whole:
        problem = f"not 'qid 0 did relevance task_id': {' '.join(cells)[:80]!r}"
        return cells[0], None, None, None, problem
    return cells[0], cells[2], int(cells[3]), int(cells[4]), None


def _is_number(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and len(cell) <= 18  # of 64 bits
