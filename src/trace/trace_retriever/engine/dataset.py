"""What of a data set is encoded: every candidate of the evaluated pools once, and every query once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trace_retriever.engine.chunks import Chunked
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.mbeir.ids import candidate_number
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Candidate, Query


@dataclass(frozen=True)
class Chosen:
    """One query to encode, with where it comes from."""

    query: Query
    pair: Pair
    split: Split


def choose_pairs(layout: Layout, split: Split, names: Sequence[str]) -> list[Pair]:
    """The pairs of a split, or those named.

    Raises:
        ConfigError: a named pair has no queries in the split.
    """
    present = layout.pairs(split)
    unknown = sorted(set(names) - {pair.name for pair in present})
    if unknown:
        raise ConfigError(
            f"no {split} queries of pair {unknown[0]!r}",
            where="pairs",
            remedy=f"this data set has {', '.join(pair.name for pair in present)}",
        )
    return [pair for pair in present if not names or pair.name in names]


def collect_queries(layout: Layout, splits: Iterable[Split], names: Sequence[str]) -> list[Chosen]:
    """All queries of the chosen splits and pairs, in the order of splits, pairs and files."""
    return [
        Chosen(query, pair, split)
        for split in splits
        for pair in choose_pairs(layout, split, names)
        for query in layout.queries(pair, split)
    ]


def collect_candidates(
    layout: Layout, splits: Iterable[Split], names: Sequence[str], *, global_pool: bool
) -> list[Candidate]:
    """Every candidate of the pools, once, by ascending did.

    Raises:
        DataError: two pools have one did with different contents.
    """
    found: dict[str, Candidate] = {}
    for split in splits:
        pools = [layout.pool(pair, split) for pair in choose_pairs(layout, split, names)]
        for pool in [*pools, *([layout.global_pool(split)] if global_pool else [])]:
            for candidate in pool:
                if found.setdefault(candidate.did, candidate) != candidate:
                    raise DataError(
                        f"candidate {candidate.did} has two contents",
                        where=layout.root / "cand_pool",
                        remedy="give each candidate one did, and each did one candidate",
                    )
    return sorted(found.values(), key=lambda candidate: candidate_number(candidate.did))


def candidate_chunks(
    layout: Layout, candidates: Sequence[Candidate], *, work: Path, size: int
) -> Chunked[Candidate]:
    """The work of encoding candidates: their direct vector [D]."""
    return Chunked(
        work=work,
        records=candidates,
        size=size,
        item=lambda candidate: candidate_item(layout, candidate),
        vectors=lambda encoded: encoded.direct,
        row=lambda candidate, _: {
            "did": candidate.did,
            "modality": candidate.modality.value,
            "text": candidate.txt,
            "img_path": candidate.img_path,
        },
    )


def query_chunks(
    layout: Layout, queries: Sequence[Chosen], *, prompt_index: int, work: Path, size: int
) -> Chunked[Chosen]:
    """The work of encoding queries: direct and reasoned vector [2, D], route and trace."""
    return Chunked(
        work=work,
        records=queries,
        size=size,
        item=lambda chosen: query_item(layout, chosen.query, chosen.pair, prompt_index),
        vectors=lambda encoded: np.stack([encoded.direct, encoded.reasoned]),
        row=lambda chosen, encoded: {
            "qid": chosen.query.qid,
            "pair": chosen.pair.name,
            "split": chosen.split,
            "p_emb": encoded.p_emb,
            "auto_route": encoded.route,
            "trace": encoded.trace,
            "trace_tokens": encoded.trace_tokens,
            "truncated": encoded.truncated,
            "confidence": encoded.confidence,
            "min_logprob": encoded.min_logprob,
        },
    )
