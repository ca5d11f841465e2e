"""`qrels/<split>/mbeir_<pair>_<split>_qrels.txt`: which candidates answer which query."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE, QUERY_ID_SPACE, Query, check_id


@dataclass(frozen=True)
class Qrels:
    """Relevance judgements; only those above 0 are kept, as in UniIR.

    Attributes:
        relevance: qid → did → relevance, in file order.
        tasks: qid → task id.
    """

    relevance: Mapping[str, Mapping[str, int]] = field(repr=False)
    tasks: Mapping[str, int] = field(repr=False)

    @classmethod
    def read(cls, path: Path, *, task: int | None = None, rows: int | None = None) -> Self:
        """Read rows `qid 0 did relevance task_id`, separated by white space.

        Args:
            path: the file.
            task: keep the rows of this task alone; None keeps all.
            rows: read no more than the first rows; None reads all.

        Raises:
            DataError: the file is missing, or a row has another number of fields, an id that is malformed or
                out of bounds, a relevance or task that is not a number, or a second task for its query;
                names file and line.
        """
        relevance: dict[str, dict[str, int]] = {}
        tasks: dict[str, int] = {}
        for number, line in enumerate(islice(_read_lines(path), rows), start=1):
            if not line.strip():
                continue
            qid, did, grade, task_id = _parse_row(line, where=f"{path}:{number}")
            if grade <= 0 or task not in (None, task_id):
                continue
            if tasks.setdefault(qid, task_id) != task_id:
                raise DataError(f"query {qid} has tasks {tasks[qid]} and {task_id}", where=f"{path}:{number}")
            relevance.setdefault(qid, {})[did] = grade
        return cls(relevance, tasks)

    def positives(self, qid: str) -> frozenset[str]:
        """The candidates that answer a query; empty when none is known."""
        return frozenset(self.relevance.get(qid, ()))

    def reachable(self, qid: str, pool: Collection[str]) -> frozenset[str]:
        """The positives of a query that a pool holds; OVEN's and InfoSeek's own pools lack many."""
        return frozenset(did for did in self.relevance.get(qid, ()) if did in pool)

    def __len__(self) -> int:
        return len(self.relevance)


def write_qrels(path: Path, queries: Iterable[Query]) -> int:
    """Write the qrels that some queries' positives imply, atomically; returns the number of rows."""
    rows = [f"{q.qid} 0 {did} 1 {q.task_id}\n" for q in queries for did in q.pos_cand_list]
    write_atomic(path, "".join(rows))
    return len(rows)


def _read_lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise DataError("file not found", where=path)
    with path.open(encoding="utf-8", errors="surrogateescape") as stream:  # a bad byte fails its row's check
        yield from stream


def _parse_row(line: str, *, where: str) -> tuple[str, str, int, int]:
    fields = line.split()
    if len(fields) != 5:
        raise DataError(f"a row is 'qid 0 did relevance task_id' (got {line.strip()!r})", where=where)
    qid, _, did, relevance, task = fields
    try:
        return check_id(qid, QUERY_ID_SPACE), check_id(did, CANDIDATE_ID_SPACE), int(relevance), int(task)
    except ValueError as error:
        raise DataError(f"{error} (got {line.strip()!r})", where=where, remedy="correct this line") from None
