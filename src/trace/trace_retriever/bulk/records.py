"""Records of large files, held as places in them: 28 bytes a record, and its line read when it is wanted."""

import hashlib
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from tqdm import tqdm

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import read_located
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.ids import candidate_id, candidate_number, query_number
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.streams import read_candidates, read_queries

Record = TypeVar("Record", bound=BaseModel)
PLACE = np.dtype([("number", "i8"), ("digest", "i8"), ("file", "i4"), ("offset", "i8")])
Places = NDArray[Any]


@dataclass(frozen=True)
class Records(Generic[Record]):
    """Some records of some files, in an order of their own.

    Attributes:
        kind: their type.
        number_of: a record's integer id, by which a file that has changed since is noticed.
        paths: the files.
        places: of each record, its number, file and offset.
    """

    kind: type[Record]
    number_of: Callable[[Record], int]
    paths: Sequence[Path]
    places: Places

    def __len__(self) -> int:
        return len(self.places)

    def read(self, rows: range) -> list[tuple[Record, int]]:
        """Consecutive records, each with the index of its file.

        Raises:
            DataError: a file is not what it was when its records were located.
        """
        places = self.places[rows.start : rows.stop]
        with ExitStack() as opened:
            streams = {
                file: opened.enter_context(self.paths[file].open("rb"))
                for file in np.unique(places["file"]).tolist()
            }
            return [(self._read(streams[int(place["file"])], place), int(place["file"])) for place in places]

    def _read(self, stream: BinaryIO, place: Any) -> Record:
        stream.seek(int(place["offset"]))
        try:
            record = self.kind.model_validate_json(stream.readline())
        except ValueError:
            record = None
        if record is None or self.number_of(record) != place["number"]:
            path = self.paths[int(place["file"])]
            raise DataError("the file changed while it was being read", where=path, remedy="run again")
        return record


def locate_candidates(
    sources: Iterable[tuple[Path, Callable[[Candidate], bool]]], *, root: Path
) -> Records[Candidate]:
    """Every candidate of some pools once, by ascending did.

    Args:
        sources: pool files, and which of their candidates are meant.
        root: of the data set, for messages.

    Raises:
        DataError: a pool is missing, empty or malformed, has one did twice, or two have it with different
            contents.
    """
    paths: list[Path] = []
    places = np.empty(0, PLACE)
    shown: tqdm[Any] = bar("reading pools", unit="record")
    with shown:
        for path, wanted in sources:
            found = _locate(path, len(paths), Candidate, lambda one: candidate_number(one.did), wanted, shown)
            paths.append(path)
            if _repeats(found) or not len(found):
                deque(read_candidates(path), maxlen=0)  # says which lines
            places = _merge(places, found, root)
    return Records(Candidate, lambda one: candidate_number(one.did), paths, places)


def locate_queries(sources: Iterable[tuple[Path, Callable[[Query], bool]]]) -> Records[Query]:
    """The queries of some files, in the order of the files; one file may come more than once.

    Raises:
        DataError: a file is missing, empty or malformed, or has one qid twice.
    """
    paths: list[Path] = []
    parts = [np.empty(0, PLACE)]
    shown: tqdm[Any] = bar("reading queries", unit="record")
    with shown:
        for path, wanted in sources:
            parts.append(_locate(path, len(paths), Query, lambda one: query_number(one.qid), wanted, shown))
            paths.append(path)
            if _repeats(parts[-1]) or not len(parts[-1]):
                deque(read_queries(path), maxlen=0)
    return Records(Query, lambda one: query_number(one.qid), paths, np.concatenate(parts))


def _locate(
    path: Path,
    file: int,
    kind: type[Record],
    number_of: Callable[[Record], int],
    wanted: Callable[[Record], bool],
    shown: "tqdm[Any]",
) -> Places:
    """The places of a file's records, in its order; a digest of each record tells its content."""
    numbers, digests, offsets = array("q"), array("q"), array("q")
    for _, offset, record in read_located(path, kind):
        shown.update()
        if wanted(record):
            numbers.append(number_of(record))
            content = hashlib.blake2b(record.model_dump_json().encode(), digest_size=8).digest()
            digests.append(int.from_bytes(content, "little", signed=True))
            offsets.append(offset)
    places = np.empty(len(numbers), PLACE)
    places["number"], places["digest"], places["offset"] = numbers, digests, offsets
    places["file"] = file
    return places


def _repeats(places: Places) -> bool:
    return len(np.unique(places["number"])) < len(places)


def _merge(old: Places, new: Places, root: Path) -> Places:
    """Both, by ascending number, each number once; the old place of a candidate stays."""
    both = np.concatenate([old, new])
    both = both[np.argsort(both["number"], kind="stable")]
    again = np.zeros(len(both), bool)
    again[1:] = both["number"][1:] == both["number"][:-1]
    differs = np.flatnonzero(again[1:] & (both["digest"][1:] != both["digest"][:-1]))
    if len(differs):
        raise DataError(
            f"candidate {candidate_id(int(both['number'][differs[0]]))} has two contents",
            where=root / "cand_pool",
            remedy="give each candidate one did, and each did one candidate",
        )
    return both[~again]
