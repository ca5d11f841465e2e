"""The queries of every split: on disk while they are looked at, a few bytes each in memory."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from trace_retriever.io.progress import progress
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE
from trace_retriever.mbeir.text import clean_text
from trace_retriever.validation.keys import Hashes, Rows, hashed, joined, keys_of
from trace_retriever.validation.shapes import (
    QueryShape,
    fields_present,
    fingerprint,
    id_number,
    read_shapes,
    scene_of,
)
from trace_retriever.validation.spool import Spool, write_rows
from trace_retriever.validation.tables import QUERY, query_file, splits_of

_TEXT, _NUMBER = pa.string(), pa.int64()
SCHEMA = pa.schema(
    {
        "split": _TEXT,
        "pair": _TEXT,
        "pair_task": _NUMBER,
        "pair_dataset": _TEXT,
        "pair_modality": _TEXT,
        "line": _NUMBER,
        "qid": _TEXT,
        "problem": _TEXT,
        "number": _NUMBER,
        "dataset": _TEXT,
        "task_id": _NUMBER,
        "modality": _TEXT,
        "fields": _TEXT,
        "characters": _NUMBER,
        "text": _NUMBER,
        "image": _TEXT,
        "scene": _TEXT,
        "positive_count": _NUMBER,
        "bad_positive": _TEXT,
        "positives": pa.list_(_TEXT),
    }
)
_NOTHING = (None, None, None, None, None, None, 0, None, None, None, None, ())


class Queries:
    """One row a query of any split.

    Columns: split, pair, pair_task, pair_dataset, pair_modality, line (of its file), qid, problem (keys and
    types), number, dataset, task_id, modality, fields (what is filled), characters, text (digest of the
    cleaned text, 0 for none), image (path), scene, positive_count, bad_positive (first malformed did),
    positives (list of dids).
    A record with a problem has no further values, so that nothing is reported twice.

    Args:
        layout: the data set.
        work: where the table is kept; what an earlier run has read of the same data is not read again.
    """

    def __init__(self, layout: Layout, work: Path) -> None:
        homes = {(split, pair): None for split, pairs in splits_of(layout).items() for pair in pairs}
        for split, pair in homes:
            what = f"reading {split} queries of {pair.name}"
            rows = progress(_rows(layout, pair, split), what, unit="query")
            write_rows(work / "queries" / f"{split}_{pair.name}.parquet", SCHEMA, rows)
        names = [f"{split}_{pair.name}" for split, pair in homes]
        categories: dict[str, list[str]] = {
            "split": sorted({split for split, _ in homes}),
            "pair": sorted({pair.name for _, pair in homes}),
        }
        self.spool = Spool(work / "queries", names, categories)
        self.homes = self._places(list(homes))

    def _places(self, homes: list[tuple[Split, Pair]]) -> dict[tuple[Split, Pair], slice]:
        """Which rows are of which split and pair."""
        found, start = {}, 0
        for home, name in zip(homes, self.spool.names, strict=True):
            end = start + self.spool.rows(name)
            found[home] = slice(start, end)
            start = end
        return found

    @cached_property
    def keys(self) -> Hashes:
        """Hashes of split, pair and qid."""
        return self.keyed(*QUERY)

    def keyed(self, *columns: str) -> Hashes:
        """Hashes of some columns of every row."""
        return joined(keys_of(part, columns) for part in self.spool.parts(columns))

    @cached_property
    def positives(self) -> tuple[Rows, Hashes]:
        """Of every (query, positive), in order: row of the query, hash of the did."""
        owners, dids, start = [], [], 0
        for part in self.spool.parts(["positives"]):
            exploded = part["positives"].explode().dropna()
            owners.append(exploded.index.to_numpy() + start)
            dids.append(hashed(exploded))
            start += len(part)
        return joined(owners, int), joined(dids)

    def names(self, split: Split) -> list[str]:
        """The spool's names of a split's queries."""
        return [name for name, (one, _) in zip(self.spool.names, self.homes, strict=True) if one == split]

    def split_ids(self) -> Iterator[pd.DataFrame]:
        """split, pair, line and qid of one split after another."""
        for split in dict.fromkeys(split for split, _ in self.homes):
            parts = self.spool.parts(["split", "pair", "line", "qid"], self.names(split))
            yield pd.concat(parts, ignore_index=True)


def _rows(layout: Layout, pair: Pair, split: Split) -> Iterator[tuple[Any, ...]]:
    path = query_file(layout, pair, split)
    mixed = path != layout.files.queries(pair, split)
    home = (split, pair.name, pair.task, str(pair.dataset_id), pair.query_modality.value)
    for line, raw, problem in read_shapes(path, QueryShape):
        if not mixed or raw.get("task_id") == pair.task:
            values = _NOTHING if problem is not None else _values(raw)
            yield (*home, line, str(raw.get("qid")), problem, *values)


def _values(raw: dict[str, Any]) -> tuple[Any, ...]:
    text, image, positives = raw["query_txt"], raw["query_img_path"], raw["pos_cand_list"]
    number = id_number(raw["qid"])
    return (
        number,
        raw["qid"].partition(":")[0] if number is not None else None,
        raw["task_id"],
        raw["query_modality"],
        fields_present(text, image),
        len(text) if text else None,
        fingerprint(clean_text(text).lower()) if text else 0,
        image or None,
        scene_of(raw.get("query_src_content")),
        len(positives),
        next((did for did in positives if not _is_candidate_id(did)), None),
        positives,
    )


def _is_candidate_id(did: str) -> bool:
    number = id_number(did)
    return number is not None and number < CANDIDATE_ID_SPACE
