"""Tables made of several files: positives in pools, routes of queries, traces of routed queries."""

import pandas as pd

from trace_retriever.config.validate import ReachabilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.validation.tables import splits_of


def positive_table(
    layout: Layout,
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    qrels: pd.DataFrame,
    params: ReachabilityParams,
) -> pd.DataFrame:
    """One row a (query, positive).

    Columns: split, pair, qid, did, local and global (bool: in the pair's own pool, the split's global one),
    unreachable_local and unreachable_global (the did, where it is missing *and* the pair has fewer reachable
    positives than it must), unjudged (the did, where the qrels do not have it).
    """
    columns = ["split", "pair", "qid", "positives"]
    frame = queries.loc[queries["positive_count"] > 0, columns].explode("positives", ignore_index=True)
    frame = frame.rename(columns={"positives": "did"}).astype({"split": str, "pair": str, "did": str})
    local, everywhere = _reachable(layout, frame, candidates)
    frame["local"], frame["global"] = local, everywhere
    minimum = {name: _least_local(Pair.parse(name), params) for name in frame["pair"].unique()}
    for scope, least in (("local", frame["pair"].map(minimum)), ("global", params.min_global)):
        share = frame.groupby(["split", "pair"])[scope].transform("mean")
        frame[f"unreachable_{scope}"] = frame["did"].where(~frame[scope] & (share < least))
    relevant = qrels.loc[qrels["relevance"] > 0, ["split", "pair", "qid", "did"]]
    frame["unjudged"] = frame["did"].where(~_among(frame, relevant))
    return frame


def _least_local(pair: Pair, params: ReachabilityParams) -> float:
    return params.siblings_min_local if pair.dataset in params.siblings else params.min_local


def _reachable(
    layout: Layout, frame: pd.DataFrame, candidates: pd.DataFrame
) -> tuple["pd.Series[bool]", "pd.Series[bool]"]:
    pools = {str(name): set(dids) for name, dids in candidates.groupby("pool", observed=True)["did"]}
    local = pd.Series(False, index=frame.index)
    everywhere = pd.Series(False, index=frame.index)
    for split, pairs in splits_of(layout).items():
        in_split = frame["split"] == split
        union = pools.get(layout.files.global_pool(split).stem, set())
        everywhere |= in_split & frame["did"].isin(union)
        for pair in pairs:
            own = pools.get(layout.pool_path(pair, split).stem, set())
            local |= in_split & (frame["pair"] == pair.name) & frame["did"].isin(own)
    return local, everywhere


def _among(rows: pd.DataFrame, others: pd.DataFrame) -> "pd.Series[bool]":
    keys = ["split", "pair", "qid", "did"]
    known = pd.MultiIndex.from_frame(others.astype(str)[keys])
    return pd.Series(pd.MultiIndex.from_frame(rows[keys].astype(str)).isin(known), index=rows.index)


def add_qrels_joins(qrels: pd.DataFrame, queries: pd.DataFrame, positives: pd.DataFrame) -> pd.DataFrame:
    """The qrels with `unknown_qid` (no such query) and `unlisted` (relevant, yet not its positive)."""
    frame = qrels.copy()
    keys = ["split", "pair", "qid"]
    known = pd.MultiIndex.from_frame(queries[keys].astype(str))
    listed = pd.Series(pd.MultiIndex.from_frame(frame[keys].astype(str)).isin(known), index=frame.index)
    readable = frame["problem"].isna()
    frame["unknown_qid"] = frame["qid"].where(readable & ~listed)
    relevant = readable & listed & (frame["relevance"] > 0)
    frame["unlisted"] = frame["did"].where(relevant & ~_among(frame, positives))
    return frame


def routing_table(queries: pd.DataFrame, routes: pd.DataFrame) -> pd.DataFrame:
    """One row a train query: qid, pair, route (None when it has none), complex (1.0, 0.0 or None)."""
    train = queries.loc[queries["split"] == "train", ["pair", "line", "qid"]].astype({"pair": str})
    labels = routes.loc[routes["split"] == "train", ["pair", "qid", "route"]].drop_duplicates(["pair", "qid"])
    frame = train.merge(labels, on=["pair", "qid"], how="left")
    frame["route"] = frame["route"].where(frame["route"].notna(), None)
    frame["complex"] = (frame["route"] == "complex").astype(float).where(frame["route"].notna())
    return frame


def add_route_joins(routes: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """The routes with `unknown_qid` (no such query in its split)."""
    keys = ["split", "pair", "qid"]
    known = pd.MultiIndex.from_frame(queries[keys].astype(str))
    frame = routes.copy()
    found = pd.MultiIndex.from_frame(frame[keys].astype(str)).isin(known)
    frame["unknown_qid"] = frame["qid"].where(~found)
    return frame


def add_trace_joins(traces: pd.DataFrame, queries: pd.DataFrame, routes: pd.DataFrame) -> pd.DataFrame:
    """The traces with their query's split (None: no such query) and route (None: no label).

    `foreign` holds the qid of a trace whose query is unknown or is of test.
    """
    keys = ["pair", "qid"]
    homes = queries[["split", *keys]].astype(str).drop_duplicates(keys)
    labels = routes[[*keys, "route"]].drop_duplicates(keys)
    frame = traces.astype({"pair": str}).merge(homes, on=keys, how="left").merge(labels, on=keys, how="left")
    for column in ("split", "route"):
        frame[column] = frame[column].where(frame[column].notna(), None)
    readable = frame["problem"].isna()
    trainable = frame["split"].isin(["train", "val"])
    frame["foreign"] = frame["qid"].where(readable & ~trainable)
    frame["needless"] = (
        frame["route"].fillna("no route").where(readable & trainable & (frame["route"] != "complex"))
    )
    return frame


def reachability(positives: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Split → pair → share of positives that lie in the local and in the global pool."""
    shares = positives.groupby(["split", "pair"])[["local", "global"]].mean()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for key, local, everywhere in shares.itertuples(name=None):
        found.setdefault(key[0], {})[key[1]] = {"local": float(local), "global": float(everywhere)}
    return found
