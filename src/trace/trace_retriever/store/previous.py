"""Vectors that were made before, by what they depend on: what has not changed is copied, not encoded."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.store.embeddings import ABOUT, read_parquet
from trace_retriever.store.shards import ShardedMatrix, table_name

Kind = Literal["candidates", "queries"]
NAMED_BY = {"candidates": ("did",), "queries": ("split", "pair", "qid")}
ROW = np.dtype([("high", "u8"), ("low", "u8"), ("name", "u8"), ("matrix", "i4"), ("row", "i8")])


@dataclass(frozen=True)
class Previous:
    """Rows of some sharded matrices by key.

    Several rows may have one key, equal in content and made in different company, so that their last bits
    differ; a row then gets the one of its own name: assembled parts equal what was never apart.

    Attributes:
        kind: "candidates" or "queries".
        matrices: what was found, parts of matrices among them.
        index: a row each, sorted by key: its two halves, name, matrix, row.
    """

    kind: Kind
    matrices: Sequence[ShardedMatrix]
    index: NDArray[Any] = field(repr=False)
    _last: dict[Path, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, directory: Path | None, kind: Kind) -> "Previous":
        """Open an embeddings directory, or all that lie directly in a directory; None gives nothing to find.

        Raises:
            DataError: there is none, or one of them is damaged.
        """
        roots = [] if directory is None else _embeddings_in(directory)
        matrices = [ShardedMatrix.open(root / kind, part=True) for root in roots]
        parts = [np.empty(0, ROW)]
        for number, matrix in enumerate(matrices):
            matrix.verify()
            parts += [_index(matrix, kind, number, shard) for shard in matrix.offsets]
        index = np.concatenate(parts)
        order = np.lexsort((index["row"], index["matrix"], index["low"], index["high"]))
        return cls(kind, matrices, index[order])

    def find(self, keys: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Where each key's row is, as elements of `index`; `matrix` is -1 where it is nowhere.

        Args:
            keys: as `bulk.keys` makes them.
            names: what the rows are called, see `row_name`.
        """
        found = np.zeros(len(keys), ROW)
        found["matrix"] = -1
        halves = np.array([_halves(key) for key in keys], "u8").reshape(-1, 2)
        starts = np.searchsorted(self.index["high"], halves[:, 0])
        for place, (start, (high, low), name) in enumerate(zip(starts, halves, names, strict=True)):
            own = digest_name(name)
            while start < len(self.index) and self.index["high"][start] == high:
                row = self.index[start]
                if row["low"] == low and (found["matrix"][place] < 0 or row["name"] == own):
                    found[place] = row
                    if row["name"] == own:
                        break
                start += 1
        return found

    def read(self, found: NDArray[Any]) -> tuple[NDArray[Any], list[dict[str, Any]]]:
        """Vectors [N, ...] and table rows of what `find` gave, all of it found."""
        first = self.matrices[int(found["matrix"][0])]
        vectors = np.empty((len(found), *first.shape[1:]), first.dtype)
        rows: list[dict[str, Any]] = [{}] * len(found)
        for number in np.unique(found["matrix"]).tolist():
            places = np.flatnonzero(found["matrix"] == number)
            matrix, wanted = self.matrices[number], found["row"][places]
            vectors[places] = matrix[wanted]
            for shard in np.unique(wanted // matrix.manifest.shard_rows).tolist():
                here = places[wanted // matrix.manifest.shard_rows == shard]
                start = matrix.manifest.rows(shard).start
                taken = self._table(matrix.directory / table_name(shard)).take(found["row"][here] - start)
                for place, row in zip(here.tolist(), taken.to_pylist(), strict=True):
                    rows[place] = row
        return vectors, rows

    def _table(self, path: Path) -> Any:
        """A shard's table, kept until another is asked for."""
        if path not in self._last:
            self._last.clear()
            self._last[path] = read_parquet(path)
        return self._last[path]

    def count(self, keys: Sequence[str]) -> int:
        """How many of some rows' keys are found."""
        if not len(keys):
            return 0
        halves = np.array([_halves(key) for key in keys], "u8")
        known = self.index[np.isin(self.index["high"], halves[:, 0])]
        pairs = set(zip(known["high"].tolist(), known["low"].tolist(), strict=True))
        return sum((high, low) in pairs for high, low in halves.tolist())


def row_name(kind: Kind, row: dict[str, Any]) -> str:
    """What a table row is called, the same in every embeddings directory of one data set."""
    return "/".join(str(row[column]) for column in NAMED_BY[kind])


def digest_name(name: str) -> np.uint64:
    """A name as eight bytes."""
    return np.uint64(int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little"))


def _halves(key: str) -> tuple[int, int]:
    return int(key[:16], 16), int(key[16:], 16)


def _embeddings_in(directory: Path) -> list[Path]:
    if (directory / ABOUT).is_file():
        return [directory]
    found = sorted(path.parent for path in directory.glob(f"*/{ABOUT}"))
    if not found:
        raise DataError(
            "no embeddings here",
            where=directory,
            remedy="name an embeddings directory, or one that holds several",
        )
    return found


def _index(matrix: ShardedMatrix, kind: Kind, number: int, shard: int) -> NDArray[Any]:
    table = read_parquet(matrix.directory / table_name(shard), ("key", *NAMED_BY[kind]))
    rows = matrix.manifest.rows(shard)
    index = np.empty(len(rows), ROW)
    halves = np.array([_halves(key) for key in table["key"].to_pylist()], "u8")
    index["high"], index["low"] = halves.T
    index["name"] = [digest_name(row_name(kind, row)) for row in table.drop(["key"]).to_pylist()]
    index["matrix"], index["row"] = number, rows
    return index
