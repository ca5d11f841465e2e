"""Writing a sharded matrix a unit of rows at a time: what was saved outlives a kill at any moment."""

import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from trace_retriever.io.files import digest_file, write_atomic, write_json
from trace_retriever.io.progress import progress
from trace_retriever.store.shards import MANIFEST, Manifest, ShardedMatrix, table_name, vectors_name

SHARD_ROWS = 65_536


@dataclass(frozen=True)
class Shard:
    """One shard, being filled in a directory.

    Its file has its full size from the start. A unit's vectors are written to their place and forced to
    disk; then the unit's table is put in place whole, and is the mark that the unit is done. Once all units
    are, their tables are joined to the shard's own, the mark that the shard is whole.

    Attributes:
        directory: where the file is.
        number: which shard.
        shape: its rows, and the shape of a row.
        dtype: float16 or float32.
        unit: rows that are saved together; the last unit may have fewer.
    """

    directory: Path
    number: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    unit: int

    @property
    def vectors(self) -> Path:
        """The file of vectors."""
        return self.directory / vectors_name(self.number)

    @property
    def table(self) -> Path:
        """The shard's table: there when it is whole."""
        return self.directory / table_name(self.number)

    @property
    def whole(self) -> bool:
        """Whether all units are saved and joined."""
        return self.table.exists()

    def units(self) -> list[range]:
        """Rows of each unit, counted within the shard."""
        rows = self.shape[0]
        return [range(start, min(start + self.unit, rows)) for start in range(0, rows, self.unit)]

    def missing(self) -> list[range]:
        """The units that are not saved yet."""
        return [] if self.whole else [unit for unit in self.units() if not self._unit_table(unit).exists()]

    def allocate(self) -> None:
        """Have the file there at its full size: a disk that is too small shows before any work is done."""
        if self.vectors.exists():
            return
        header = _header(self.shape, self.dtype)
        size = len(header) + int(np.prod(self.shape)) * self.dtype.itemsize
        partial = self.vectors.with_suffix(".partial")
        with partial.open("wb") as stream:
            stream.write(header)
            stream.flush()
            os.posix_fallocate(stream.fileno(), 0, size)
            os.fsync(stream.fileno())
        partial.rename(self.vectors)

    def write(self, first: int, vectors: NDArray[Any]) -> None:
        """Put rows into the file, from the row `first` on, and force them to disk."""
        row = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        content = np.ascontiguousarray(vectors, self.dtype).data.cast("B")
        position = len(_header(self.shape, self.dtype)) + first * row
        descriptor = os.open(self.vectors, os.O_WRONLY)
        try:
            while content:
                written = os.pwrite(descriptor, content, position)
                position, content = position + written, content[written:]
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def save(self, unit: range, vectors: NDArray[Any], rows: Any) -> None:
        """Save a unit whole.

        Args:
            unit: its rows within the shard.
            vectors: [len(unit), ...].
            rows: their table (pyarrow).
        """
        self.write(unit.start, vectors)
        write_atomic(self._unit_table(unit), parquet_bytes(rows))

    def join(self) -> None:
        """Make the shard whole, all units being saved."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = [self._unit_table(unit) for unit in self.units()]
        if not self.whole:
            write_atomic(
                self.table, parquet_bytes(pa.concat_tables([pq.read_table(path) for path in tables]))
            )
        for path in tables:
            path.unlink(missing_ok=True)

    def _unit_table(self, unit: range) -> Path:
        return self.directory / f"{self.number:05d}.{unit.start // self.unit:05d}.parquet"


def _header(shape: Sequence[int], dtype: np.dtype[Any]) -> bytes:
    stream = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def parquet_bytes(rows: Any) -> bytes:
    """A pyarrow table as the bytes of a parquet file; equal tables give equal bytes."""
    import pyarrow.parquet as pq

    stream = io.BytesIO()
    pq.write_table(rows, stream, compression="zstd")
    return stream.getvalue()


def write_manifest(
    directory: Path, names: Sequence[str], *, shape: Sequence[int], dtype: DTypeLike, shard_rows: int
) -> None:
    """Write `manifest.json` over files that are whole."""
    files = {name: digest_file(directory / name) for name in progress(names, "digests", unit="file")}
    manifest = Manifest(dtype=np.dtype(dtype).name, shape=tuple(shape), shard_rows=shard_rows, files=files)
    write_json(directory / MANIFEST, manifest.model_dump(mode="json"))


def write_matrix(
    directory: Path,
    blocks: Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: DTypeLike = np.float16,
    shard_rows: int = SHARD_ROWS,
) -> ShardedMatrix:
    """Write a matrix from blocks of rows, holding one block at a time; a kill leaves no manifest.

    Args:
        directory: made if absent.
        blocks: consecutive rows, of any heights; converted to `dtype`.
        shape: of the whole matrix, rows first.
        dtype: float16 or float32.
        shard_rows: rows of a shard.

    Raises:
        ValueError: the blocks have more or fewer rows than `shape` says.
    """
    directory.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(dtype=np.dtype(dtype).name, shape=tuple(shape), shard_rows=shard_rows, files={})
    row = 0
    for block in blocks:
        if row + len(block) > shape[0]:
            raise ValueError(f"more than {shape[0]} rows")
        while len(block):
            number, first = divmod(row, shard_rows)
            height = len(manifest.rows(number))
            shard = Shard(directory, number, (height, *shape[1:]), np.dtype(dtype), shard_rows)
            if not first:
                shard.vectors.unlink(missing_ok=True)
                shard.allocate()
            now, block = block[: height - first], block[height - first :]
            shard.write(first, now)
            row += len(now)
    if row != shape[0]:
        raise ValueError(f"{row} rows; {shape[0]} were announced")
    names = [vectors_name(shard) for shard in manifest.shards]
    write_manifest(directory, names, shape=shape, dtype=dtype, shard_rows=shard_rows)
    return ShardedMatrix.open(directory)
