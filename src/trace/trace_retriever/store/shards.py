"""Reading a sharded matrix: checked when it is opened, its rows read when they are asked for.

A directory holds `00000.npy`, `00001.npy`, ... (each a whole NumPy file of `shard_rows` rows, the last of
fewer), a parquet table beside each where rows have more to say, and `manifest.json`. A slice is read, not
mapped: mapped pages count as the process's memory, and going through a matrix would seem to fill the machine.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_file, read_json
from trace_retriever.io.jsonl import describe
from trace_retriever.io.progress import progress

MANIFEST = "manifest.json"
REMEDY = "run `trace embed` again"


class Manifest(BaseModel):
    """`manifest.json` of a sharded matrix.

    Attributes:
        shape: of the whole matrix, rows first.
        shard_rows: rows of each shard but the last.
        files: name → SHA-256 of each file; a part of a matrix has some of the shards only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str = Field(pattern=r"^float(16|32)$")
    shape: tuple[int, ...] = Field(min_length=2)
    shard_rows: int = Field(ge=1)
    files: dict[str, str] = Field(repr=False)

    @classmethod
    def read(cls, directory: Path) -> "Manifest":
        """Read it.

        Raises:
            DataError: it is missing or breaks its schema.
        """
        try:
            return cls.model_validate(read_json(directory / MANIFEST))
        except ValidationError as error:
            raise DataError(describe(error), where=directory / MANIFEST, remedy=REMEDY) from None

    @property
    def shards(self) -> range:
        """Numbers of all the matrix's shards, here or not."""
        return range(-(-self.shape[0] // self.shard_rows))

    def rows(self, shard: int) -> range:
        """The rows of a shard."""
        start = shard * self.shard_rows
        return range(start, min(start + self.shard_rows, self.shape[0]))


def vectors_name(shard: int) -> str:
    """The file of a shard's vectors."""
    return f"{shard:05d}.npy"


def table_name(shard: int) -> str:
    """The file of a shard's table."""
    return f"{shard:05d}.parquet"


@dataclass(frozen=True)
class ShardedMatrix:
    """A matrix in a directory; a `Matrix`.

    Attributes:
        directory: where it lies.
        manifest: what it says of itself.
        offsets: shard → where in its file the vectors begin; only the shards that are here.
    """

    directory: Path
    manifest: Manifest
    offsets: dict[int, int] = field(repr=False)

    @classmethod
    def open(cls, directory: Path, *, part: bool = False) -> "ShardedMatrix":
        """Open a directory and check the shape, type and size of each shard.

        Args:
            directory: what `write_matrix` or `trace embed` wrote.
            part: whether shards may be absent.

        Raises:
            DataError: a file is missing, cut, or of another shape or type than the manifest says.
        """
        manifest = Manifest.read(directory)
        here = [shard for shard in manifest.shards if vectors_name(shard) in manifest.files]
        if len(here) < len(manifest.shards) and not part:
            raise DataError(
                f"only {len(here)} of {len(manifest.shards)} shards are here",
                where=directory,
                remedy="assemble the parts: `trace embed --previous` with the folder that holds them",
            )
        return cls(directory, manifest, {shard: _check(directory, manifest, shard) for shard in here})

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
        """Rows in memory, of the stored type.

        Args:
            key: a slice without a step, or row numbers in any order (ascending ones are read fastest).

        Raises:
            DataError: a row lies in a shard that is not here.
            IndexError: a row number is out of bounds.
        """
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                raise IndexError("a matrix on disk is sliced without a step")
            return self._slice(start, max(start, stop))
        return self._gather(np.asarray(key, np.int64))

    def _slice(self, start: int, stop: int) -> NDArray[Any]:
        found = np.empty((stop - start, *self.shape[1:]), self.dtype)
        size = self.manifest.shard_rows
        for shard in range(start // size, -(-stop // size)):
            rows = self.manifest.rows(shard)
            first, last = max(start, rows.start), min(stop, rows.stop)
            found[first - start : last - start] = self._read(shard, first - rows.start, last - first)
        return found

    def _gather(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a matrix of {len(self)}")
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        shards = rows // self.manifest.shard_rows
        for shard in np.unique(shards).tolist():
            places = np.flatnonzero(shards == shard)
            mapped = self._mapped(shard)  # let go after each shard, so that its pages do not pile up
            found[places] = mapped[rows[places] - self.manifest.rows(shard).start]
        return found

    def _read(self, shard: int, first: int, count: int) -> NDArray[Any]:
        width = int(np.prod(self.shape[1:]))
        offset = self._offset(shard) + first * width * self.dtype.itemsize
        path = self.directory / vectors_name(shard)
        flat = np.fromfile(path, self.dtype, count * width, offset=offset)
        return flat.reshape(count, *self.shape[1:])

    def _mapped(self, shard: int) -> NDArray[Any]:
        shape = (len(self.manifest.rows(shard)), *self.shape[1:])
        path = self.directory / vectors_name(shard)
        return np.memmap(path, self.dtype, "r", self._offset(shard), shape)

    def _offset(self, shard: int) -> int:
        if shard not in self.offsets:
            raise DataError(f"shard {shard} is not in this part", where=self.directory, remedy=REMEDY)
        return self.offsets[shard]

    def verify(self) -> None:
        """Compare each file with its digest, with a progress bar.

        Raises:
            DataError: a file is missing or was altered.
        """
        for name, digest in progress(
            self.manifest.files.items(), f"verifying {self.directory.name}", unit="file"
        ):
            path = self.directory / name
            if not path.is_file():
                raise DataError("file not found", where=path, remedy=REMEDY)
            if digest_file(path) != digest:
                raise DataError("the file was altered after it was written", where=path, remedy=REMEDY)


def _check(directory: Path, manifest: Manifest, shard: int) -> int:
    """Where a shard's vectors begin in its file, its header and size being right."""
    path = directory / vectors_name(shard)
    try:
        mapped: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"not a whole .npy file: {error}", where=path, remedy=REMEDY) from None
    expected = (len(manifest.rows(shard)), *manifest.shape[1:])
    if mapped.shape != expected or mapped.dtype != np.dtype(manifest.dtype) or not mapped.flags.c_contiguous:
        raise DataError(
            f"vectors of shape {mapped.shape}, {mapped.dtype}; expected {expected}, {manifest.dtype}",
            where=path,
            remedy=REMEDY,
        )
    return int(mapped.offset)
