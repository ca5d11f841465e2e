"""Candidates' vectors and tables as they were when they were opened, whatever happens to their directory.

Files are mapped once, checked against the digests in their manifest, and stay mapped: a directory that is
replaced under a running server goes on to exist for those who opened it.
"""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_bytes, digest_file
from trace_retriever.store.shards import MANIFEST, REMEDY, Manifest, table_name, vectors_name

HEADER = 65_536  # bytes that hold the header of a .npy file of version 1.0
COLUMNS = ("did", "modality", "text", "img_path")


@dataclass(frozen=True)
class PinnedMatrix:
    """A `Matrix` over mapped shards.

    Attributes:
        manifest: what it says of itself; `digest` is its own digest, and so names all of it.
        shards: one array a shard, in order.
    """

    manifest: Manifest
    digest: str
    shards: tuple[NDArray[Any], ...] = field(repr=False)

    @classmethod
    def open(cls, directory: Path) -> "PinnedMatrix":
        """Map and verify the vectors of a directory that `trace embed` wrote.

        Raises:
            DataError: a file is missing, was altered, or is not what the manifest says.
        """
        digest = digest_file(directory / MANIFEST) if (directory / MANIFEST).is_file() else ""
        manifest = Manifest.read(directory)
        shards = tuple(_mapped(directory, manifest, shard) for shard in manifest.shards)
        return cls(manifest, digest, shards)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows first."""
        return self.manifest.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16 or float32."""
        return np.dtype(self.manifest.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        """Rows in memory: a slice without a step, or row numbers in any order."""
        rows = np.arange(*key.indices(len(self))) if isinstance(key, slice) else np.asarray(key, np.int64)
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        numbers = rows // self.manifest.shard_rows
        for number in np.unique(numbers).tolist():
            places = np.flatnonzero(numbers == number)
            found[places] = self.shards[number][rows[places] - self.manifest.rows(number).start]
        return found


def _mapped(directory: Path, manifest: Manifest, shard: int) -> NDArray[Any]:
    """A shard's vectors; what was checked is what stays mapped."""
    path = directory / vectors_name(shard)
    try:
        raw: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        _verify(path, "sha256:" + hashlib.sha256(raw.data).hexdigest(), manifest)
        head = io.BytesIO(raw[:HEADER].tobytes())
        if np.lib.format.read_magic(head) != (1, 0):
            raise ValueError("another version of the format")
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(head)
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (ValueError, OSError) as error:
        raise DataError(f"not a whole .npy file: {error}", where=path, remedy=REMEDY) from None
    expected = (len(manifest.rows(shard)), *manifest.shape[1:])
    if shape != expected or dtype != np.dtype(manifest.dtype) or columns_first:
        raise DataError(f"vectors of shape {shape}; expected {expected}", where=path, remedy=REMEDY)
    return raw[head.tell() :].view(dtype).reshape(shape)


def read_candidates(directory: Path, manifest: Manifest) -> Any:
    """Did, modality, text and img_path of all candidates, verified, as a pyarrow table in memory.

    Raises:
        DataError: a table is missing, was altered, or has another length than its shard.
    """
    import pyarrow as pa

    tables = [_table(directory, manifest, shard) for shard in manifest.shards]
    return pa.concat_tables(tables).combine_chunks()


def _table(directory: Path, manifest: Manifest, shard: int) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = directory / table_name(shard)
    try:
        content = path.read_bytes()
        _verify(path, digest_bytes(content), manifest)
        table = pq.read_table(pa.BufferReader(content), columns=list(COLUMNS))
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a whole parquet file: {error}", where=path, remedy=REMEDY) from None
    if table.num_rows != len(manifest.rows(shard)):
        raise DataError(f"a table of {table.num_rows} rows", where=path, remedy=REMEDY)
    return table


def _verify(path: Path, digest: str, manifest: Manifest) -> None:
    if manifest.files.get(path.name) != digest:
        raise DataError("the file was altered after it was written", where=path, remedy=REMEDY)
