"""What came of requests to a teacher: answers, by query id, in memory or in the log that outlives a kill."""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from pydantic import BaseModel

from trace_retriever.io.jsonl import read_located
from trace_retriever.mbeir.ids import query_id, query_number
from trace_retriever.mbeir.pool_index import RecordIndex, RecordReader, as_ints
from trace_retriever.traces.lazy import Ints
from trace_retriever.traces.teachers.base import Failure

Answer = TypeVar("Answer", bound=BaseModel)


class Logged(BaseModel, Generic[Answer]):
    """A line of the work log."""

    qid: str
    answer: Answer


class LoggedAnswers(Mapping[str, Answer]):
    """Qid → answer by ascending query id, read from a work log when it is asked for; 16 bytes each."""

    def __init__(self, path: Path, kind: type[Answer]) -> None:
        numbers, offsets = array("q"), array("q")
        for _, offset, row in read_located(path, Logged[kind]):  # type: ignore[valid-type]
            numbers.append(query_number(row.qid))
            offsets.append(offset)
        ids, places = as_ints(numbers), as_ints(offsets)
        found, first = np.unique(ids, return_index=True)
        self._index = RecordIndex(path, Logged[kind], found, places[first])  # type: ignore[valid-type]

    @property
    def numbers(self) -> Ints:
        """Integer ids of the queries, ascending."""
        return self._index.numbers

    def __getitem__(self, qid: str) -> Answer:
        rows = self._index.find(np.array([query_number(qid)]))
        if rows[0] < 0:
            raise KeyError(qid)
        return next(self._index.read(rows)).answer

    def __contains__(self, qid: object) -> bool:
        return isinstance(qid, str) and self._index.find(np.array([query_number(qid)]))[0] >= 0

    def __iter__(self) -> Iterator[str]:
        return map(query_id, self.numbers.tolist())

    def __len__(self) -> int:
        return len(self._index)

    def within(self, numbers: Ints) -> "LoggedAnswers[Answer]":
        """Those of some queries alone."""
        index, keep = self._index, np.isin(self.numbers, numbers)
        part: LoggedAnswers[Answer] = object.__new__(LoggedAnswers)
        part._index = RecordIndex(index.path, index.kind, index.numbers[keep], index.offsets[keep])
        return part

    def read(self) -> Iterator[tuple[str, Answer]]:
        """All of them, the file opened once."""
        with RecordReader(self._index.path, self._index.kind) as reader:
            for offset in self._index.offsets:
                row = reader.at(int(offset))
                yield row.qid, row.answer


@dataclass(frozen=True)
class Answers(Generic[Answer]):
    """What came of some requests; each is in exactly one of the two.

    Attributes:
        given: qid → answer, in the order of the requests (of the query ids, where they are in the log).
        failures: requests without a usable answer, in the order of the requests.
    """

    given: Mapping[str, Answer]
    failures: list[Failure]

    def pairs(self) -> Iterable[tuple[str, Answer]]:
        """Qid and answer of each that was given, fastest."""
        return self.given.read() if isinstance(self.given, LoggedAnswers) else self.given.items()

    def numbers(self) -> Ints:
        """Integer ids of the queries with an answer, ascending."""
        if isinstance(self.given, LoggedAnswers):
            return self.given.numbers
        return np.sort(np.array([query_number(qid) for qid in self.given], dtype=np.int64))
