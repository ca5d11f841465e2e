"""The candidates of every pool: on disk while they are looked at, a few bytes each in memory."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.validation.keys import Hashes, hashed, hashed_or_zero, joined
from trace_retriever.validation.shapes import (
    CandidateShape,
    fields_present,
    fingerprint,
    id_number,
    read_shapes,
    scene_of,
)
from trace_retriever.validation.spool import Spool, write_rows
from trace_retriever.validation.tables import splits_of

_TEXT, _NUMBER = pa.string(), pa.int64()
SCHEMA = pa.schema(
    {
        "pool": _TEXT,
        "pair": _TEXT,
        "line": _NUMBER,
        "did": _TEXT,
        "pair_modality": _TEXT,
        "problem": _TEXT,
        "number": _NUMBER,
        "modality": _TEXT,
        "fields": _TEXT,
        "characters": _NUMBER,
        "image": _TEXT,
        "scene": _TEXT,
        "content": _NUMBER,
    }
)


def pool_files(layout: Layout) -> dict[Path, Pair | None]:
    """Every pool that the data set's queries need → the pair it is local to (None for a global pool).

    Raises:
        DataError: a pair or a split has no pool.
    """
    files: dict[Path, Pair | None] = {}
    for split, pairs in splits_of(layout).items():
        path = layout.files.global_pool(split)
        if not path.is_file():
            raise DataError(f"no global {split} pool", where=path, remedy="run `trace prepare` again")
        files[path] = None
        for pair in pairs:
            files.setdefault(layout.pool_path(pair, split), pair)
    return files


class Candidates:
    """One row a candidate of any pool.

    Columns: pool (file name without its ending), pair (None in a global pool), line, did, number, modality,
    pair_modality, fields, characters, image, scene, content (digest of text, path and modality), problem.
    Ids are compared by 64-bit hashes, 8 bytes a candidate.

    Args:
        layout: the data set.
        work: where the table is kept; what an earlier run has read of the same data is not read again.
    """

    def __init__(self, layout: Layout, work: Path) -> None:
        files = pool_files(layout)
        for path, pair in files.items():
            rows = progress(_rows(path, pair), f"reading {path.name}", unit="candidate")
            write_rows(work / f"{path.stem}.parquet", SCHEMA, rows)
        names = [path.stem for path in files]
        pairs = sorted({pair.name for pair in files.values() if pair})
        self.spool = Spool(work, names, {"pool": sorted(names), "pair": pairs})

    def __len__(self) -> int:
        return sum(self.spool.rows(name) for name in self.spool.names)

    @cached_property
    def hashes(self) -> dict[str, Hashes]:
        """Pool → hashes of its dids, in file order."""
        return {
            name: joined(hashed(part["did"]) for part in self.spool.parts(["did"], [name]))
            for name in self.spool.names
        }

    def holds(self, pool: str, dids: Hashes) -> NDArray[np.bool_]:
        """Whether a pool has each of some ids."""
        return np.isin(dids, self.hashes[pool])

    @cached_property
    def conflicts(self) -> Hashes:
        """Hashes of the dids that have several contents in all pools together."""
        dids = np.concatenate(list(self.hashes.values()))
        contents = self.spool.column("content")
        known = contents.is_valid().to_numpy()
        dids, contents = dids[known], contents.drop_null().to_numpy()
        if not len(dids):
            return np.empty(0, dtype=np.uint64)
        order = np.argsort(dids)
        dids, contents = dids[order], contents[order]
        starts = np.flatnonzero(np.r_[True, dids[1:] != dids[:-1]])
        several = np.minimum.reduceat(contents, starts) != np.maximum.reduceat(contents, starts)
        found: Hashes = dids[starts[several]]
        return found

    def parts(self) -> Iterator[pd.DataFrame]:
        """All columns in parts, and `conflict`: the did, where it has several contents."""
        for part in self.spool.parts():
            yield part.assign(conflict=part["did"].where(np.isin(hashed(part["did"]), self.conflicts)))

    def ids(self) -> Iterator[pd.DataFrame]:
        """pool, line and did of one pool after another; ids as Arrow has them, far smaller than objects."""
        for name in self.spool.names:
            parts = self.spool.parts(["pool", "line", "did"], [name])
            yield pd.concat([part.astype({"did": "string[pyarrow]"}) for part in parts], ignore_index=True)

    def pictures(self, dids: Hashes) -> pd.DataFrame:
        """did and scene (hashes, 0 for no scene) and image of the candidates of some ids that have a picture.

        Each did is there once.
        """
        wanted, found = np.unique(dids), []
        for part in self.spool.parts(["did", "image", "scene"]):
            part["did"] = hashed(part["did"])
            here = part[part["image"].notna() & np.isin(part["did"], wanted)].copy()
            here["scene"] = hashed_or_zero(here["scene"])
            found.append(here.astype({"image": "string[pyarrow]"}))
            wanted = np.setdiff1d(wanted, here["did"], assume_unique=False)
        return pd.concat(found, ignore_index=True).drop_duplicates("did", ignore_index=True)

    def images(self) -> pd.DataFrame:
        """image and did of each distinct picture, where it is named first."""
        seen, found = np.empty(0, dtype=np.uint64), []
        for part in self.spool.parts(["did", "image"]):
            named = part[part["image"].notna()].drop_duplicates("image")
            keys = hashed(named["image"])
            new = ~np.isin(keys, seen)
            seen = np.concatenate([seen, keys[new]])
            fresh = named.loc[new, ["image", "did"]]
            found.append(fresh.astype("string[pyarrow]"))  # a fifth of what objects take
        return pd.concat(found, ignore_index=True)

    def lengths(self) -> "pd.Series[Any]":
        """Characters of every text."""
        return pd.Series(self.spool.column("characters").drop_null().to_numpy())


def _rows(path: Path, pair: Pair | None) -> Iterator[tuple[Any, ...]]:
    home = (path.stem, pair.name if pair else None)
    modality = pair.candidate_modality.value if pair else None
    for line, raw, problem in read_shapes(path, CandidateShape):
        values = (None,) * 7 if problem is not None else _values(raw)
        yield (*home, line, str(raw.get("did")), modality, problem, *values)


def _values(raw: dict[str, Any]) -> tuple[Any, ...]:
    text, image = raw["txt"], raw["img_path"]
    return (
        id_number(raw["did"]),
        raw["modality"],
        fields_present(text, image),
        len(text) if text else None,
        image or None,
        scene_of(raw.get("src_content")),
        fingerprint(text, image, raw["modality"]),
    )
