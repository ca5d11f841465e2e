"""A table of millions of rows on disk: written while its files are read, gone through again in parts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PART = 250_000  # rows that are in memory at once
_ROWS = 50_000  # rows of a row group


@dataclass(frozen=True)
class Spool:
    """Rows of some source files, one Parquet file each.

    Attributes:
        folder: where they lie.
        names: of the sources, in order.
        categories: columns that are categories, and their values.
    """

    folder: Path
    names: Sequence[str]
    categories: dict[str, list[str]]

    def parts(
        self, columns: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> Iterator[pd.DataFrame]:
        """All rows in order, some columns or all, in frames of about `PART` rows; at least one frame.

        Small sources share a frame; the rows of a frame are counted from 0.
        """
        batches: list[pd.DataFrame] = []
        given = False
        for batch in self._batches(columns, self.names if names is None else names):
            batches.append(batch)
            if sum(map(len, batches)) >= PART:
                yield self._joined(batches)
                batches, given = [], True
        if batches or not given:
            yield self._joined(batches)

    def sources(self, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Some columns of all rows of one source after another."""
        for name in self.names:
            yield pd.concat(self.parts(columns, [name]), ignore_index=True)

    def _batches(self, columns: Sequence[str] | None, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        for name in names:
            with pq.ParquetFile(self.folder / f"{name}.parquet") as file:
                chosen = list(file.schema_arrow.names if columns is None else columns)
                for batch in file.iter_batches(_ROWS, columns=chosen):
                    yield batch.select(chosen).to_pandas()
                if not file.metadata.num_rows:
                    yield file.schema_arrow.empty_table().select(chosen).to_pandas()

    def _joined(self, batches: list[pd.DataFrame]) -> pd.DataFrame:
        frame = pd.concat(batches, ignore_index=True)
        kinds = {name: pd.CategoricalDtype(values) for name, values in self.categories.items()}
        return frame.astype({name: kind for name, kind in kinds.items() if name in frame})

    def column(self, name: str) -> Any:
        """One column of all rows, as an Arrow array."""
        tables = [pq.read_table(self.folder / f"{source}.parquet", columns=[name]) for source in self.names]
        return pa.concat_tables(tables).column(name)

    def frame(self, columns: Sequence[str]) -> pd.DataFrame:
        """Some columns of all rows, for texts of few distinct values: they become categories."""
        files = [self.folder / f"{source}.parquet" for source in self.names]
        tables = [pq.read_table(file, columns=list(columns), read_dictionary=list(columns)) for file in files]
        whole = pa.concat_tables(tables).unify_dictionaries().select(list(columns))
        frame: pd.DataFrame = whole.to_pandas()
        return frame

    def rows(self, name: str) -> int:
        """How many rows a source has."""
        return int(pq.read_metadata(self.folder / f"{name}.parquet").num_rows)


def write_rows(path: Path, schema: Any, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows to a Parquet file that is there when it is whole; one that is there already stays."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for columns in _columns(rows):
            arrays = [
                pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
    partial.replace(path)


def _columns(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    batch: list[tuple[Any, ...]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            yield list(zip(*batch, strict=True))
            batch = []
    if batch:
        yield list(zip(*batch, strict=True))


Frames = Callable[[], Iterator[pd.DataFrame]]
