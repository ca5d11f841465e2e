"""Run files: `qid Q0 did rank score run_id task_id`, TREC's format and M-BEIR's task id behind it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic


@dataclass(frozen=True, slots=True)
class Ranked:
    """One line of a run."""

    qid: str
    did: str
    rank: int
    score: float
    run_id: str
    task_id: int


def write_run(path: Path, lines: Iterable[Ranked]) -> None:
    """Write a run atomically; scores keep all nine digits of a float32."""
    text = (
        f"{line.qid} Q0 {line.did} {line.rank} {line.score:.9g} {line.run_id} {line.task_id}\n"
        for line in lines
    )
    write_atomic(path, "".join(text))


def read_run(path: Path) -> dict[str, list[Ranked]]:
    """Read a run: qid → its lines, best first, as they stand in the file.

    Raises:
        DataError: the file is missing, or a line has another number of fields, a rank, score or task that
            is not a number, a rank out of order, or a candidate twice; names file and line.
    """
    if not path.is_file():
        raise DataError("file not found", where=path)
    run: dict[str, list[Ranked]] = {}
    seen: set[tuple[str, str]] = set()
    with path.open(encoding="utf-8") as stream:
        for number, text in enumerate(stream, start=1):
            line = _parse(text, where=f"{path}:{number}")
            ranking = run.setdefault(line.qid, [])
            if line.rank != len(ranking) + 1:
                raise DataError(
                    f"rank {line.rank} of query {line.qid} follows {len(ranking)}", where=f"{path}:{number}"
                )
            if (line.qid, line.did) in seen:
                raise DataError(f"{line.did} is ranked twice for {line.qid}", where=f"{path}:{number}")
            seen.add((line.qid, line.did))
            ranking.append(line)
    return run


def _parse(text: str, *, where: str) -> Ranked:
    fields = text.split()
    if len(fields) != 7:
        raise DataError(
            f"a line is 'qid Q0 did rank score run_id task_id' (got {text.strip()!r})", where=where
        )
    qid, _, did, rank, score, run_id, task = fields
    try:
        return Ranked(qid, did, int(rank), float(score), run_id, int(task))
    except ValueError as error:
        raise DataError(f"{error} (got {text.strip()!r})", where=where) from None
