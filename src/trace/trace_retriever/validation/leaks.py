"""What test queries share with train: pictures by content, texts, scenes, positives."""

from pathlib import Path
from typing import Any

import pandas as pd

from trace_retriever.validation.pictures import content_keys


def leak_table(root: Path, queries: pd.DataFrame, candidates: pd.DataFrame, by: str) -> pd.DataFrame:
    """One row a test query; a column holds the train query or picture it agrees with, if any.

    Columns: pair, line, qid; same_query (same picture if any, and same text), same_picture, same_scene,
    known_positive (path of a positive's picture that train shows, as a query or as a positive).
    """
    known = queries[queries["split"].isin(["train", "test"]) & queries["problem"].isna()]
    positives = _positive_pictures(known, candidates)
    keys = content_keys(root, [*known["image"].dropna(), *positives["image"]], by)
    known = known.assign(picture=known["image"].map(keys), scenes=_scenes(known, positives))
    train, test = known[known["split"] == "train"], known[known["split"] == "test"]
    frame = test[["pair", "line", "qid"]].astype({"pair": str}).copy()
    frame["same_query"] = _same(_content(test), _content(train), train["qid"])
    frame["same_picture"] = _same(test["picture"], train["picture"], train["qid"])
    frame["same_scene"] = _same_scene(test, train)
    frame["known_positive"] = _known_positives(
        test, train, positives.assign(key=positives["image"].map(keys))
    )
    return frame.reset_index(drop=True)


def _positive_pictures(queries: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """One row a (query, positive with a picture): index of the query, image, scene."""
    pairs = queries["positives"].explode().dropna().rename("did").rename_axis("query").reset_index()
    pictures = candidates.loc[candidates["image"].notna(), ["did", "image", "scene"]].drop_duplicates("did")
    return pairs.merge(pictures, on="did")


def _content(queries: pd.DataFrame) -> "pd.Series[str]":
    return queries["picture"].fillna("") + "|" + queries["text"].astype("string").fillna("")


def _same(keys: "pd.Series[str]", train_keys: "pd.Series[str]", qids: "pd.Series[str]") -> "pd.Series[str]":
    first = pd.Series(qids.to_numpy(), index=train_keys.to_numpy())
    first = first[first.index.notna()]
    found = keys.map(first[~first.index.duplicated()])
    return found.where(found.notna(), None)


def _scenes(queries: pd.DataFrame, positives: pd.DataFrame) -> "pd.Series[Any]":
    """The scenes of a query: its own and its positives'."""
    own = queries["scene"].dropna()
    targets = positives.dropna(subset=["scene"]).set_index("query")["scene"]
    scenes: pd.Series[Any] = pd.concat([own, targets]).groupby(level=0).agg(list)
    return scenes.reindex(queries.index)


def _same_scene(test: pd.DataFrame, train: pd.DataFrame) -> "pd.Series[Any]":
    seen = train["scenes"].explode().dropna()
    first = pd.Series(train["qid"].reindex(seen.index).to_numpy(), index=seen.to_numpy())
    first = first[~first.index.duplicated()]
    found = test["scenes"].explode().dropna().map(first).dropna()
    return _first_of(found, test.index)


def _known_positives(test: pd.DataFrame, train: pd.DataFrame, positives: pd.DataFrame) -> "pd.Series[Any]":
    shown = positives.loc[positives["query"].isin(train.index), "key"]
    seen = set(train["picture"].dropna()) | set(shown)
    known = positives[positives["key"].isin(seen)].set_index("query")["image"]
    return _first_of(known, test.index)


def _first_of(found: "pd.Series[str]", index: pd.Index) -> "pd.Series[Any]":
    whole = found[~found.index.duplicated()].reindex(index).astype(object)
    return whole.where(whole.notna(), None)
