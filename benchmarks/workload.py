"""What the engine is measured on: test queries of a made benchmark, in mixes of simple and complex ones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.model.items import Item


@dataclass(frozen=True)
class Asked:
    """A query, ready to encode.

    Attributes:
        complex: whether it truly needs reasoning.
        positives: dids of its answers.
    """

    pair: Pair
    item: Item
    complex: bool
    positives: frozenset[str]


def read_queries(dataset: Path) -> list[Asked]:
    """All test queries of a data set whose truth is known, in its order."""
    layout = Layout(dataset)
    truth = layout.truth("test") or {}
    return [
        Asked(
            pair,
            query_item(layout, query, pair),
            truth[query.qid].route == "complex",
            frozenset(query.pos_cand_list),
        )
        for pair in layout.pairs("test")
        for query in layout.queries(pair, "test")
    ]


def mix(queries: Sequence[Asked], share: float | None, count: int, seed: int) -> list[Asked]:
    """A shuffled sample in which a given share is complex; None keeps the data set's own share."""
    rng = random.Random(seed)
    shuffled = rng.sample(list(queries), len(queries))
    if share is None:
        return shuffled[:count]
    wanted = round(share * count)
    hard = [one for one in shuffled if one.complex][:wanted]
    easy = [one for one in shuffled if not one.complex][: count - wanted]
    return rng.sample(hard + easy, len(hard) + len(easy))


def read_pools(dataset: Path) -> dict[Pair, list[tuple[str, Item]]]:
    """Each pair's local test pool: did and item, by ascending did."""
    layout = Layout(dataset)
    return {
        pair: [(one.did, candidate_item(layout, one)) for one in layout.pool(pair, "test")]
        for pair in layout.pairs("test")
    }


def recall(
    queries: Sequence[Asked],
    vectors_QD: NDArray[np.float32],
    pools: dict[Pair, tuple[Sequence[str], NDArray[np.float32]]],
    k: int,
) -> float:
    """Recall@k in local pools as the mean over pairs: the share of queries with a positive in the first k."""
    per_pair = []
    for pair, (dids, candidates_ND) in pools.items():
        rows = [row for row, one in enumerate(queries) if one.pair == pair]
        if not rows:
            continue
        scores_RN = vectors_QD[rows] @ candidates_ND.T
        best = np.argsort(-scores_RN, axis=1, kind="stable")[:, :k]
        hits = [
            bool(queries[row].positives & {dids[at] for at in found})
            for row, found in zip(rows, best, strict=True)
        ]
        per_pair.append(np.mean(hits))
    return float(np.mean(per_pair))
