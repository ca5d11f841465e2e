"""JSON-lines files: typed reading that names the bad line, atomic writing, and a log that survives a kill."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import count
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic

Record = TypeVar("Record", bound=BaseModel)
MAX_LINE_BYTES = 1 << 20


def read_jsonl(path: Path, record: type[Record]) -> Iterator[Record]:
    """Read one record a line, checked against its model, streaming.

    Raises:
        DataError: the file is missing, or a line is too long, is not JSON, or breaks the schema; names file,
            line, key and value.
    """
    return (value for _, value in read_numbered(path, record))


def read_numbered(path: Path, record: type[Record]) -> Iterator[tuple[int, Record]]:
    """Like `read_jsonl`, each record with its line number, counted from 1."""
    return ((number, value) for number, _, value in read_located(path, record))


def read_located(path: Path, record: type[Record]) -> Iterator[tuple[int, int, Record]]:
    """Like `read_jsonl`, each record with its line number and with the byte offset that it begins at."""
    for number, offset, line in _lines(path):
        try:
            yield number, offset, record.model_validate_json(line)
        except ValidationError as error:
            raise DataError(
                describe(error), where=f"{path}:{number}", remedy="correct or remove this line"
            ) from None


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    if not path.is_file():
        raise DataError("file not found", where=path)
    with path.open("rb") as stream:
        number = offset = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise DataError(f"line longer than {MAX_LINE_BYTES:,} bytes", where=f"{path}:{number}")
            if line.strip():
                yield number, offset, line
            offset += len(line)


def describe(error: ValidationError) -> str:
    """Say in one line what a pydantic error found: key, problem, value."""
    parts = []
    for item in error.errors(include_url=False):
        key = ".".join(map(str, item["loc"])) or "record"
        value = repr(item.get("input"))
        parts.append(f"{key}: {item['msg']} (got {value if len(value) <= 80 else value[:77] + '...'})")
    return "; ".join(parts)


def dump_line(row: BaseModel | dict[str, Any]) -> str:
    """One record as one line of JSON, fields in declared order, newline included."""
    value = row.model_dump(mode="json") if isinstance(row, BaseModel) else row
    return json.dumps(value, ensure_ascii=False) + "\n"


def write_jsonl(path: Path, rows: Iterable[BaseModel | dict[str, Any]]) -> int:
    """Write records atomically, as they come; returns how many."""
    counter = count()
    write_atomic(path, (dump_line(row).encode() for row, _ in zip(rows, counter, strict=False)))
    return next(counter)


class JsonlLog:
    """An append-only record file for work that must survive a kill; a half-written last line is cut.

    Args:
        path: the log file; made when absent.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._cut_partial_line()
        self._stream = path.open("ab")

    def _cut_partial_line(self) -> None:
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("r+b") as stream:
            with mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
                whole = content.rfind(b"\n") + 1
            stream.truncate(whole)

    def read(self, record: type[Record]) -> list[Record]:
        """The records that were completely written so far."""
        return list(read_jsonl(self.path, record))

    def append(self, row: BaseModel) -> None:
        """Add a record and force it to disk."""
        self._stream.write(dump_line(row).encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
