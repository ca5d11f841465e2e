"""What test queries share with train: pictures by content, texts, scenes, positives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trace_retriever.validation.keys import Hashes, Lookup, Rows, hashed_or_zero, keys_of
from trace_retriever.validation.pictures import content_keys
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import Queries

Texts = NDArray[Any]


@dataclass(frozen=True)
class _Known:
    """The train or the test queries that can be read, and their positives with a picture; 0 is no key.

    Attributes:
        frame: split, pair, line, qid of each query.
        content: key of picture and text together.
        picture: key of the picture.
        owners, shown, paths: of each positive with a picture its query (row of `frame`), the picture's key
            and path.
        scene_owners, scenes: query and key of each scene that a query or a positive of it names.
    """

    frame: pd.DataFrame
    content: Hashes
    picture: Hashes
    owners: Rows
    shown: Hashes
    paths: "pd.Series[str]"
    scene_owners: Rows
    scenes: Hashes


def leak_table(root: Path, queries: Queries, candidates: Candidates, by: str) -> pd.DataFrame:
    """One row a test query; a column holds the train query or picture it agrees with, if any.

    Columns: pair, line, qid; same_query (same picture if any, and same text), same_picture, same_scene,
    known_positive (path of a positive's picture that train shows, as a query or as a positive).
    """
    train, test = _known(root, queries, candidates, by)
    qids = train.frame["qid"]
    frame = test.frame[["pair", "line", "qid"]].astype({"pair": str, "qid": object})
    frame["same_query"] = _named(qids, Lookup(train.content).rows(test.content))
    same = np.where(test.picture > 0, Lookup(train.picture).rows(test.picture), -1)
    frame["same_picture"] = _named(qids, same)
    found = Lookup(train.scenes).rows(test.scenes)
    seen = np.append(train.scene_owners, -1)[found]
    frame["same_scene"] = _named(qids, _firsts(test.scene_owners, seen, len(frame)))
    shown = np.isin(test.shown, np.concatenate([train.picture[train.picture > 0], train.shown]))
    places = np.where(shown, np.arange(len(shown)), -1)
    frame["known_positive"] = _named(test.paths, _firsts(test.owners, places, len(frame)))
    return frame


def _named(names: "pd.Series[str]", rows: Rows) -> Texts:
    """The names of some rows, None for row -1."""
    found = np.full(len(rows), None, dtype=object)
    found[rows >= 0] = names.iloc[rows[rows >= 0]].to_numpy(dtype=object)
    return found


def _firsts(owners: Rows, values: Rows, count: int) -> Rows:
    """The first value of each owner that is not -1; -1 for owners without one."""
    first, places = np.unique(owners[values >= 0], return_index=True)
    found = np.full(count, -1, dtype=np.int64)
    found[first] = values[values >= 0][places]
    return found


def _known(root: Path, queries: Queries, candidates: Candidates, by: str) -> tuple[_Known, _Known]:
    """Train and test."""
    frame = _readable(queries)
    rows, dids = queries.positives
    owners = Lookup(frame["row"].to_numpy(np.uint64)).rows(rows.astype(np.uint64))
    pictures = candidates.pictures(dids[owners >= 0])
    places = np.where(owners >= 0, Lookup(pictures["did"].to_numpy()).rows(dids), -1)
    owners, places = owners[places >= 0], places[places >= 0]
    keys = content_keys(root, pd.concat([frame["image"], pictures["image"]]), by)
    frame["picture"], shown = keys[: len(frame)], keys[len(frame) :][places]
    content = keys_of(frame, ("picture", "text"))
    asked, named = frame["scene"].to_numpy(), pictures["scene"].to_numpy()[places]
    scene_owners = np.concatenate([np.arange(len(frame)), owners])
    scenes = np.concatenate([asked, named])
    order = np.argsort(scene_owners, kind="stable")  # a query's own scene is first
    order = order[scenes[order] > 0]
    whole = _Known(
        frame[["split", "pair", "line", "qid"]],
        content,
        keys[: len(frame)],
        owners,
        shown,
        pictures["image"].iloc[places],
        scene_owners[order],
        scenes[order],
    )
    return _part(whole, "train"), _part(whole, "test")


def _part(whole: _Known, split: str) -> _Known:
    chosen = (whole.frame["split"] == split).to_numpy()
    rows = np.cumsum(chosen) - 1
    mine, named = chosen[whole.owners], chosen[whole.scene_owners]
    return _Known(
        whole.frame[chosen].reset_index(drop=True),
        whole.content[chosen],
        whole.picture[chosen],
        rows[whole.owners[mine]],
        whole.shown[mine],
        whole.paths[mine],
        rows[whole.scene_owners[named]],
        whole.scenes[named],
    )


def _readable(queries: Queries) -> pd.DataFrame:
    """Train and test queries with all their values; texts as Arrow has them, scenes as keys."""
    columns: Sequence[str] = ("split", "pair", "line", "qid", "problem", "text", "image", "scene")
    parts, start = [], 0
    for part in queries.spool.parts(columns):
        part["row"] = np.arange(start, start + len(part))
        start += len(part)
        known = part[part["split"].isin(["train", "test"]) & part["problem"].isna()].drop(columns="problem")
        known["scene"] = hashed_or_zero(known["scene"])
        parts.append(known.astype({"qid": "string[pyarrow]", "image": "string[pyarrow]"}))
    return pd.concat(parts, ignore_index=True)
