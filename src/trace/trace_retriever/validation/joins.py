"""Tables made of several files: positives in pools, routes of queries, traces of routed queries."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trace_retriever.config.validate import ReachabilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.validation.chosen import Labels
from trace_retriever.validation.keys import Hashes, Lookup, joined, keys_of
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import Queries
from trace_retriever.validation.spool import Spool
from trace_retriever.validation.tables import JUDGED, QUERY

Bools = NDArray[np.bool_]


class Positives:
    """One row a (query, positive), some 20 bytes of each in memory.

    Columns: split, pair, qid, did, local and global (bool: in the pair's own pool, the split's global one),
    unreachable_local and unreachable_global (the did, where it is missing *and* the pair has fewer reachable
    positives than it must), unjudged (the did, where the qrels do not have it).

    Attributes:
        keys: hashes of split, pair, qid and did.
        homes: split and pair → which rows are theirs.
        local, everywhere: whether each is in the pair's own pool, and in the split's global one.
    """

    def __init__(
        self,
        layout: Layout,
        queries: Queries,
        candidates: Candidates,
        qrels: Spool,
        params: ReachabilityParams,
    ) -> None:
        self._queries = queries
        owners, dids = queries.positives
        self.homes = {
            home: slice(*np.searchsorted(owners, [rows.start, rows.stop]).tolist())
            for home, rows in queries.homes.items()
        }
        self.local, self.everywhere = self._reachable(layout, candidates, dids)
        self._missed = {
            "local": _missed(self.local, self.homes, lambda pair: _least_local(pair, params)),
            "global": _missed(self.everywhere, self.homes, lambda _: params.min_global),
        }
        self.keys = joined(keys_of(part, JUDGED) for part in self._exploded())
        self._unjudged = ~Lookup(_relevant(qrels)).holds(self.keys)

    def _reachable(self, layout: Layout, candidates: Candidates, dids: Hashes) -> tuple[Bools, Bools]:
        local, everywhere = np.zeros(len(dids), dtype=bool), np.zeros(len(dids), dtype=bool)
        for (split, pair), rows in self.homes.items():
            local[rows] = candidates.holds(layout.pool_path(pair, split).stem, dids[rows])
        for split in dict.fromkeys(split for split, _ in self.homes):
            parts = [rows for (one, _), rows in self.homes.items() if one == split]
            rows = slice(parts[0].start, parts[-1].stop)
            everywhere[rows] = candidates.holds(layout.files.global_pool(split).stem, dids[rows])
        return local, everywhere

    def _exploded(self) -> Iterator[pd.DataFrame]:
        for part in self._queries.spool.parts([*QUERY, "positives"]):
            frame = part.explode("positives").rename(columns={"positives": "did"})
            yield frame.dropna(subset=["did"]).reset_index(drop=True)

    def parts(self) -> Iterator[pd.DataFrame]:
        """All rows in parts."""
        start = 0
        for frame in self._exploded():
            rows = slice(start, start + len(frame))
            frame["local"], frame["global"] = self.local[rows], self.everywhere[rows]
            for scope, missed in self._missed.items():
                frame[f"unreachable_{scope}"] = frame["did"].where(missed[rows])
            frame["unjudged"] = frame["did"].where(self._unjudged[rows])
            start = rows.stop
            yield frame

    def reachability(self) -> dict[str, dict[str, dict[str, float]]]:
        """Split → pair → share of positives that lie in the local and in the global pool."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for (split, pair), rows in sorted(self.homes.items(), key=lambda home: (home[0][0], home[0][1].name)):
            if rows.stop > rows.start:
                local, everywhere = float(self.local[rows].mean()), float(self.everywhere[rows].mean())
                found.setdefault(split, {})[pair.name] = {"local": local, "global": everywhere}
        return found


def _missed(reached: Bools, homes: Mapping[tuple[Split, Pair], slice], least: Any) -> Bools:
    """What is not reached, of the pairs that reach less than they must."""
    missed = np.zeros(len(reached), dtype=bool)
    for (_, pair), rows in homes.items():
        if rows.stop > rows.start and reached[rows].mean() < least(pair):
            missed[rows] = ~reached[rows]
    return missed


def _least_local(pair: Pair, params: ReachabilityParams) -> float:
    return params.siblings_min_local if pair.dataset in params.siblings else params.min_local


def _relevant(qrels: Spool) -> Hashes:
    parts = qrels.parts([*JUDGED, "relevance"])
    return joined(keys_of(part[part["relevance"] > 0], JUDGED) for part in parts)


def qrels_parts(qrels: Spool, queries: Queries, positives: Positives) -> Iterator[pd.DataFrame]:
    """The qrels with `unknown_qid` (no such query) and `unlisted` (relevant, yet not its positive)."""
    known, listed = Lookup(queries.keys), Lookup(positives.keys)
    for frame in qrels.parts():
        readable, of_query = frame["problem"].isna(), known.holds(keys_of(frame, QUERY))
        frame["unknown_qid"] = frame["qid"].where(readable & ~of_query)
        relevant = readable & of_query & (frame["relevance"] > 0)
        frame["unlisted"] = frame["did"].where(relevant & ~listed.holds(keys_of(frame, JUDGED)))
        yield frame


def routing_parts(queries: Queries, labels: Labels) -> Iterator[pd.DataFrame]:
    """One row a train query: pair, line, qid, route (None when it has none), complex (1.0, 0.0 or None)."""
    for frame in queries.spool.parts(["split", "pair", "line", "qid"], queries.names("train")):
        frame["route"] = labels.of(frame, QUERY)
        frame["complex"] = (frame["route"] == "complex").astype(float).where(frame["route"].notna())
        yield frame.drop(columns="split")


def route_parts(labels: Labels, queries: Queries) -> Iterator[pd.DataFrame]:
    """The routes with `unknown_qid` (no such query in its split)."""
    known = Lookup(queries.keys)
    for frame in labels.parts():
        frame["unknown_qid"] = frame["qid"].where(~known.holds(keys_of(frame, QUERY)))
        yield frame


def trace_parts(traces: Spool, queries: Queries, labels: Labels) -> Iterator[pd.DataFrame]:
    """The traces with their query's split (None: no such query) and route (None: no label).

    `foreign` holds the qid of a trace whose query is unknown or is of test.
    """
    keys = ("pair", "qid")
    homes, splits = Lookup(queries.keyed(*keys)), queries.spool.frame(["split"])["split"].astype("category")
    names = np.array([*splits.cat.categories, None], dtype=object)
    codes = np.append(splits.cat.codes.to_numpy(np.int64), -1)
    for frame in traces.parts():
        frame["split"] = names[codes[homes.rows(keys_of(frame, keys))]]
        frame["route"] = labels.of(frame, keys)
        readable, trainable = frame["problem"].isna(), frame["split"].isin(["train", "val"])
        frame["foreign"] = frame["qid"].where(readable & ~trainable)
        needless = readable & trainable & (frame["route"] != "complex")
        frame["needless"] = frame["route"].fillna("no route").where(needless)
        yield frame
