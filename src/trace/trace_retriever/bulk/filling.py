"""Filling a sharded matrix with a task's vectors, shard by shard, beside other processes that do the same."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from trace_retriever.bulk.tasks import Asked, Row, Task
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.io.locks import claim
from trace_retriever.io.progress import bar
from trace_retriever.model.items import Item
from trace_retriever.store.embeddings import read_parquet
from trace_retriever.store.filling import Shard, write_manifest
from trace_retriever.store.previous import Previous, row_name
from trace_retriever.store.shards import MANIFEST, Manifest
from trace_retriever.store.twins import unite_twins

Encoder = Callable[[Sequence[Item], Reason], Iterator[Encoded]]


@dataclass(frozen=True, kw_only=True)
class Filling:
    """The work of encoding a task's records into a directory that outlives a kill.

    What is encoded together depends on the records and the sizes alone, never on what was done before, or
    by whom.

    Attributes:
        task: the records.
        work: where shards are filled.
        previous: vectors that are copied where their key is the same.
        dim: D, length of a vector.
        dtype: float16 or float32.
        shard_rows: rows of a shard; a process claims one at a time.
        unit: rows that are encoded and saved together.
        part: (i, n): only every shard whose number is i modulo n.
    """

    task: Task
    work: Path
    previous: Previous
    dim: int
    dtype: np.dtype[Any]
    shard_rows: int
    unit: int
    part: tuple[int, int]

    @cached_property
    def manifest(self) -> Manifest:
        """What the whole matrix will be, its files not named yet."""
        row = (self.dim,) if self.task.vectors == 1 else (self.task.vectors, self.dim)
        return Manifest(
            dtype=self.dtype.name, shape=(len(self.task), *row), shard_rows=self.shard_rows, files={}
        )

    @cached_property
    def shards(self) -> list[Shard]:
        """The shards of this part."""
        own, count = self.part
        return [
            Shard(
                self.work,
                number,
                (len(self.manifest.rows(number)), *self.manifest.shape[1:]),
                self.dtype,
                self.unit,
            )
            for number in self.manifest.shards
            if number % count == own
        ]

    def run(self, encoder: Encoder, what: str) -> None:
        """Fill the shards that no other process fills, then wait for those, and fill what a dead one left.

        Args:
            encoder: gives one `Encoded` an item, in order.
            what: the name on the progress bar.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        shown: tqdm[Any] = bar(what, total=self.rows, unit="item")
        with shown:
            busy = [shard for shard in self.shards if not self._fill(shard, encoder, shown, wait=False)]
            for shard in busy:
                self._fill(shard, encoder, shown, wait=True)

    def _fill(self, shard: Shard, encoder: Encoder, shown: "tqdm[Any]", *, wait: bool) -> bool:
        """Make a shard whole; false where another process is at it."""
        with claim(self.work / f"{shard.number:05d}.lock", wait=wait) as held:
            if held and not shard.whole:
                shard.allocate()
                missing = shard.missing()
                shown.update(shard.shape[0] - sum(map(len, missing)))
                for unit in missing:
                    shard.save(unit, *self._encode(shard, unit, encoder))
                    shown.update(len(unit))
                shard.join()
            elif held:
                shown.update(shard.shape[0])
            return held

    def _encode(self, shard: Shard, unit: range, encoder: Encoder) -> tuple[NDArray[Any], Any]:
        """A unit's vectors and table: copied where they are known, else encoded, equal contents once."""
        import pyarrow as pa

        start = self.manifest.rows(shard.number).start
        asked = self.task.asked(range(start + unit.start, start + unit.stop))
        keys = self.task.keys.of([one.item for one in asked])
        vectors = np.empty((len(unit), *self.manifest.shape[1:]), self.dtype)
        rows: list[Row] = [{} for _ in asked]
        known = self._copy(asked, keys, vectors, rows)
        new: dict[str, list[int]] = {}
        for place in np.flatnonzero(~known).tolist():
            new.setdefault(keys[place], []).append(place)
        items = [asked[places[0]].item for places in new.values()]
        if items:
            for places, encoded in zip(new.values(), encoder(items, self.task.reason), strict=True):
                for place in places:
                    vectors[place], rows[place] = self.task.answer(encoded)
        full = [row | one.row | {"key": key} for row, one, key in zip(rows, asked, keys, strict=True)]
        return vectors, pa.Table.from_pylist(full, self._schema)

    def _copy(
        self, asked: Sequence[Asked], keys: Sequence[str], vectors: NDArray[Any], rows: list[Row]
    ) -> NDArray[np.bool_]:
        """Copy what is known into `vectors` and `rows`; tells which rows that are."""
        names = [row_name(self.task.kind, one.row) for one in asked]
        found = self.previous.find(keys, names)
        known: NDArray[np.bool_] = found["matrix"] >= 0
        if known.any():
            vectors[known], copied = self.previous.read(found[known])
            for place, row in zip(np.flatnonzero(known).tolist(), copied, strict=True):
                rows[place] = row
        return known

    def finish(self) -> None:
        """All being whole, unite equal contents and write the manifest, unless another process has."""
        with claim(self.work / "finish.lock", wait=True):
            if (self.work / MANIFEST).exists():
                return
            if self.task.kind == "candidates" and self.part[1] == 1:
                unite_twins(self.shards)
            write_manifest(
                self.work,
                [path.name for shard in self.shards for path in (shard.vectors, shard.table)],
                shape=self.manifest.shape,
                dtype=self.dtype,
                shard_rows=self.shard_rows,
            )

    @property
    def _schema(self) -> Any:
        import pyarrow as pa

        return pa.schema([(name, pa.type_for_alias(kind)) for name, kind in self.task.columns.items()])

    @property
    def rows(self) -> int:
        """How many rows this part has."""
        return sum(shard.shape[0] for shard in self.shards)

    @property
    def reused(self) -> int:
        """How many rows were there before, whichever process or run copied them."""
        return sum(
            self.previous.count(read_parquet(shard.table, ("key",))["key"].to_pylist())
            for shard in self.shards
        )

    def table(self) -> Any:
        """The whole table of this part (pyarrow); for queries, of which there are not too many."""
        import pyarrow as pa

        empty = self._schema.empty_table()
        return pa.concat_tables([empty, *(read_parquet(shard.table) for shard in self.shards)])

    def publish(self, out: Path) -> None:
        """Put the files into `out`, leaving them in place for other processes that finish later."""
        out.mkdir(parents=True)
        for name in (*Manifest.read(self.work).files, MANIFEST):
            link_or_copy(self.work / name, out / name)


def link_or_copy(source: Path, target: Path) -> None:
    """A second name for a file, or a copy of it where file systems do not allow that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
