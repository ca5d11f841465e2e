"""Reading M-BEIR's record files: not empty, no id twice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import read_located, read_numbered
from trace_retriever.mbeir.ids import IdSet, candidate_number, query_number
from trace_retriever.mbeir.records import Candidate, Query, Truth

Record = TypeVar("Record", bound=BaseModel)


def read_queries(path: Path) -> Iterator[Query]:
    """The queries of a file, streaming.

    Raises:
        DataError: the file is missing or empty, a line breaks the schema, or two lines have one qid.
    """
    return _read_unique(path, Query, "qid", lambda query: query_number(query.qid))


def read_candidates(path: Path) -> Iterator[Candidate]:
    """The candidates of a pool, streaming; raises as `read_queries`."""
    return _read_unique(path, Candidate, "did", lambda candidate: candidate_number(candidate.did))


def read_truths(path: Path) -> Iterator[Truth]:
    """The true traces of a file, streaming; raises as `read_queries`."""
    return _read_unique(path, Truth, "qid", lambda truth: query_number(truth.qid))


def locate_queries(path: Path) -> Iterator[tuple[int, Query]]:
    """As `read_queries`, each with the byte offset of its line."""
    return _locate_unique(path, Query, "qid", lambda query: query_number(query.qid))


def locate_candidates(path: Path) -> Iterator[tuple[int, Candidate]]:
    """As `read_candidates`, each with the byte offset of its line."""
    return _locate_unique(path, Candidate, "did", lambda candidate: candidate_number(candidate.did))


def _read_unique(
    path: Path, kind: type[Record], key: str, number_of: Callable[[Record], int]
) -> Iterator[Record]:
    return (record for _, record in _locate_unique(path, kind, key, number_of))


def _locate_unique(
    path: Path, kind: type[Record], key: str, number_of: Callable[[Record], int]
) -> Iterator[tuple[int, Record]]:
    seen, empty = IdSet(), True  # a pool has up to 5.6 million ids
    for line, offset, record in read_located(path, kind):
        number = number_of(record)
        if not seen.add(number):
            first = next(other for other, found in read_numbered(path, kind) if number_of(found) == number)
            raise DataError(
                f"{key} {getattr(record, key)!r} is on line {first} and again on line {line}",
                where=f"{path}:{line}",
                remedy="remove one of the two lines",
            )
        empty = False
        yield offset, record
    if empty:
        raise DataError("the file holds no records", where=path, remedy="restore it, or leave its pair out")
