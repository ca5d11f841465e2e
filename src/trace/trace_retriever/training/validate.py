"""Validation on generated traces: what the model, reasoning by itself, finds in a part of each val pool."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trace_retriever.config.train import TrainValidation, Variant
from trace_retriever.engine.encode import encode
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Query
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.training.data import Key, Route
from trace_retriever.training.distributed import Group, gather_objects


@dataclass(frozen=True)
class Probe:
    """A pair's part of validation: some queries, and the candidates among which they look."""

    pair: Pair
    queries: list[Query]
    query_items: list[Item]
    dids: list[str]
    candidate_items: list[Item]


def read_probes(layout: Layout, params: TrainValidation, seed: int) -> list[Probe]:
    """Draw val queries and their pools: all positives and listed negatives of the queries, then others.

    Raises:
        DataError: see `Layout.queries` and `Layout.pool`.
    """
    return [_probe(layout, pair, params, seed) for pair in layout.pairs("val")]


def _probe(layout: Layout, pair: Pair, params: TrainValidation, seed: int) -> Probe:
    queries = list(layout.queries(pair, "val"))
    random = np.random.default_rng((seed, pair.dataset_id, pair.task))
    chosen = [queries[int(at)] for at in sorted(random.permutation(len(queries))[: params.queries])]
    pool = {candidate.did: candidate for candidate in layout.pool(pair, "val")}
    named = [did for query in chosen for did in query.pos_cand_list]
    named += [did for query in chosen for did in query.neg_cand_list]
    others = sorted(pool)
    shuffled = [others[int(at)] for at in random.permutation(len(others))]
    needed = {did for query in chosen for did in query.pos_cand_list if did in pool}
    dids = [did for did in dict.fromkeys([*named, *shuffled]) if did in pool][
        : max(params.candidates, len(needed))
    ]
    return Probe(
        pair,
        chosen,
        [query_item(layout, query, pair) for query in chosen],
        dids,
        [candidate_item(layout, pool[did]) for did in dids],
    )


def validate(
    model: TraceModel,
    probes: Sequence[Probe],
    routes: dict[Key, Route],
    params: TrainValidation,
    group: Group,
    variant: Variant,
) -> dict[str, float]:
    """Score a model; every process encodes a part, and all return the same.

    Returns:
        `score`, by which the best weights are chosen: `hit`, ties decided by `mrr` (which adds at most
        0.001);
        `hit`: headline hit@k, mean over pairs; `mrr`: reciprocal rank, mean over pairs; for TRACE also
        `routing`: share of queries that the model routes as they are labelled; `hit_complex` and
        `hit_simple`: hit@k, mean over the queries labelled so.
    """
    mode = "auto" if variant == "trace" else "never"
    queries = [item for probe in probes for item in probe.query_items]
    candidates = [item for probe in probes for item in probe.candidate_items]
    found = _encode(model, queries, mode, params, group)
    pool = np.stack([vector for vector, _ in _encode(model, candidates, "never", params, group)])
    vectors, chosen = np.stack([vector for vector, _ in found]), [route for _, route in found]
    hits, reciprocals, labels, at_query, at_candidate = [], [], [], 0, 0
    for probe in probes:
        mine = vectors[at_query : at_query + len(probe.queries)]
        ranks = first_ranks(mine @ pool[at_candidate : at_candidate + len(probe.dids)].T, probe)
        hits.append(ranks <= probe.pair.headline_k)
        reciprocals.append(1.0 / ranks)
        labels += [routes.get((probe.pair.name, query.qid)) for query in probe.queries]
        at_query, at_candidate = at_query + len(probe.queries), at_candidate + len(probe.dids)
    hit, mrr = (_mean(map(_mean, values)) for values in (hits, reciprocals))
    figures = {"score": hit + mrr / 1000, "hit": hit, "mrr": mrr}
    return figures | _by_route(np.concatenate(hits), labels, chosen, variant)


def first_ranks(scores: np.ndarray, probe: Probe) -> np.ndarray:
    """Rank (from 1) of each query's best positive, infinite when the pool has none; ties count against it."""
    column = {did: at for at, did in enumerate(probe.dids)}
    ranks = np.full(len(scores), np.inf)
    for row, query in enumerate(probe.queries):
        targets = [column[did] for did in query.pos_cand_list if did in column]
        if targets:
            others = np.delete(scores[row], targets)
            ranks[row] = 1 + (others >= scores[row, targets].max()).sum()
    return ranks


def _encode(
    model: TraceModel, items: Sequence[Item], mode: str, params: TrainValidation, group: Group
) -> list[tuple[np.ndarray, str]]:
    """Vector and route of each item; the processes take turns."""
    mine = items[group.rank :: group.world]
    encoded = encode(model, mine, reason=mode, batch_tokens=params.batch_tokens, what="validation")  # type: ignore[arg-type]
    parts = gather_objects([(one.vector(mode), one.route) for one in encoded])  # type: ignore[arg-type]
    return [parts[at % group.world][at // group.world] for at in range(len(items))]


def _by_route(
    hits: np.ndarray, labels: Sequence[Route | None], chosen: Sequence[str], variant: Variant
) -> dict[str, float]:
    known = np.array([label is not None for label in labels])
    figures = {}
    if variant == "trace" and known.any():
        right = [label == route for label, route in zip(labels, chosen, strict=True) if label is not None]
        figures["routing"] = _mean(right)
    for name in ("simple", "complex"):
        which = np.array([label == name for label in labels])
        if which.any():
            figures[f"hit_{name}"] = _mean(hits[which])
    return figures


def _mean(values: Iterable[float] | np.ndarray) -> float:
    return float(np.mean(list(values)))
