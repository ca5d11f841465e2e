"""Encoding a long list in chunks, each saved whole: a kill loses one, and the end has the same bytes."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from tqdm import tqdm

from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.plan import windows
from trace_retriever.io.files import write_atomic
from trace_retriever.io.progress import bar
from trace_retriever.model.items import Item

Record = TypeVar("Record")
Encoder = Callable[[Sequence[Item]], Iterator[Encoded]]


@dataclass(frozen=True, kw_only=True)
class Chunked(Generic[Record]):
    """Work on a list of records, a chunk at a time; a chunk that is on disk is not done again.

    What is in a chunk depends on the records and the chunk size alone, so a run that was killed and continued
    gives the same bytes as one that was not.

    Attributes:
        work: where chunks are kept.
        records: what to encode.
        size: records of a chunk.
        item: what the model is given for a record.
        vectors: what is kept of an `Encoded`: one array.
        row: what else is kept: one table row.
    """

    work: Path
    records: Sequence[Record]
    size: int
    item: Callable[[Record], Item]
    vectors: Callable[[Encoded], np.ndarray]
    row: Callable[[Record, Encoded], dict[str, Any]]

    def run(self, encoder: Encoder, what: str) -> None:
        """Encode the chunks that are missing, with a progress bar named `what`."""
        shown: tqdm[Any] = bar(what, total=len(self.records), unit="item")
        with shown:
            for number, window in enumerate(windows(len(self.records), self.size)):
                vectors, table = self._files(number)
                if not table.exists():  # written last: where it is, its vectors are
                    self._encode(encoder, [self.records[index] for index in window], vectors, table)
                shown.update(len(window))

    def _encode(self, encoder: Encoder, records: Sequence[Record], vectors: Path, table: Path) -> None:
        import pandas as pd

        encoded = list(encoder([self.item(record) for record in records]))
        write_atomic(vectors, npy_bytes(np.stack([self.vectors(one) for one in encoded])))
        rows = [self.row(record, one) for record, one in zip(records, encoded, strict=True)]
        write_atomic(table, parquet_bytes(pd.DataFrame(rows)))

    def gather(self, vectors: Path, table: Path) -> None:
        """Join the chunks into one `.npy` (written in place, never all in memory) and one parquet file."""
        import pandas as pd

        files = [self._files(number) for number, _ in enumerate(windows(len(self.records), self.size))]
        first = np.load(files[0][0], mmap_mode="r")
        joined = np.lib.format.open_memmap(
            vectors, "w+", dtype=np.float32, shape=(len(self.records), *first.shape[1:])
        )
        for (part, _), window in zip(files, windows(len(self.records), self.size), strict=True):
            joined[window.start : window.stop] = np.load(part)
        joined.flush()
        rows = pd.concat([pd.read_parquet(part) for _, part in files], ignore_index=True)
        rows.insert(0, "row", np.arange(len(rows)))
        write_atomic(table, parquet_bytes(rows))

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.work / f"{number:06d}.npy", self.work / f"{number:06d}.parquet"


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as the bytes of a `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def parquet_bytes(table: Any) -> bytes:
    """A data frame as the bytes of a parquet file."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()
