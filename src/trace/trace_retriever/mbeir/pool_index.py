"""Where the records of a large file lie: integer ids and byte offsets in arrays, 16 bytes a record.

A pool of M-BEIR has up to 5.6 million candidates, some gigabytes of text. Read once into a `RecordIndex`, its
records are then found by id and read again one by one, in any order, from the file:

    index = index_pool(layout.files.global_pool("test"))
    rows = index.find(np.array([candidate_number("9:4")]))    # -1 where the pool does not hold it
    candidates = index.read(rows)                             # in the order of the rows
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import describe
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.ids import candidate_number
from trace_retriever.mbeir.records import Candidate
from trace_retriever.mbeir.streams import locate_candidates

Record = TypeVar("Record", bound=BaseModel)
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RecordIndex(Generic[Record]):
    """N records of a JSON-lines file by ascending integer id.

    Attributes:
        path: the file, which must not change while the index is used.
        kind: the type of its records.
        numbers: integer ids (`mbeir.ids`), ascending.
        offsets: the byte that each record's line begins at.
    """

    path: Path
    kind: type[Record]
    numbers: Ints = field(repr=False)
    offsets: Ints = field(repr=False)

    @classmethod
    def build(
        cls,
        path: Path,
        kind: type[Record],
        located: Iterable[tuple[int, Record]],
        number_of: Callable[[Record], int],
    ) -> Self:
        """Go once through records with their offsets, keeping where they lie."""
        numbers, offsets = array("q"), array("q")
        for offset, record in located:
            numbers.append(number_of(record))
            offsets.append(offset)
        ids, places = as_ints(numbers), as_ints(offsets)
        order = np.argsort(ids, kind="stable")
        return cls(path, kind, ids[order], places[order])

    def __len__(self) -> int:
        return len(self.numbers)

    def find(self, numbers: Ints) -> Ints:
        """The rows of some ids, -1 for those that are not here; any shape."""
        if not len(self):
            return np.full(numbers.shape, -1, dtype=np.int64)
        rows = np.minimum(np.searchsorted(self.numbers, numbers), len(self) - 1)
        return np.where(self.numbers[rows] == numbers, rows, -1)

    def read(self, rows: Ints) -> Iterator[Record]:
        """The records of some rows, in that order; ascending offsets are read fastest."""
        with RecordReader(self.path, self.kind) as reader:
            for row in rows:
                yield reader.at(int(self.offsets[row]))


def index_pool(path: Path) -> RecordIndex[Candidate]:
    """Index a candidate pool, every line of which is checked on the way.

    Raises:
        DataError: the file is missing or empty, a line breaks the schema, or two lines have one did.
    """
    located = progress(locate_candidates(path), f"indexing {path.name}", unit="candidate")
    return RecordIndex.build(path, Candidate, located, lambda candidate: candidate_number(candidate.did))


class RecordReader(Generic[Record]):
    """Reads single records of a file by the byte that their line begins at; a context manager.

    Args:
        path: the file.
        kind: the type of its records.
    """

    def __init__(self, path: Path, kind: type[Record]) -> None:
        self.path = path
        self.kind = kind

    def __enter__(self) -> Self:
        self._stream = self.path.open("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def at(self, offset: int) -> Record:
        """The record whose line begins there.

        Raises:
            DataError: no record of this kind does: the file has changed since it was indexed.
        """
        self._stream.seek(offset)
        try:
            return self.kind.model_validate_json(self._stream.readline())
        except ValidationError as error:
            where = f"{self.path}, byte {offset:,}"
            remedy = "the file changed while it was read: run the step again"
            raise DataError(describe(error), where=where, remedy=remedy) from None


def as_ints(values: "array[int]") -> Ints:
    """The numbers of a grown array, without a copy."""
    return np.frombuffer(values, dtype=np.int64) if len(values) else np.empty(0, dtype=np.int64)
