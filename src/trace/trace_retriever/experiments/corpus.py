"""A small data set cut out of a larger one: some pairs, so many queries of each, and what they name."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trace_retriever.io.jsonl import read_jsonl, write_jsonl
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Files, Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import CandidateTrace, Query, Trace
from trace_retriever.traces.candidates import Description
from trace_retriever.training.sampling import neighbour_order

SHARED = ("instructions", "mbeir_images", "truth")


def cut(
    source: Path, out: Path, *, train: Sequence[str], test: Sequence[str], sizes: Mapping[str, int]
) -> None:
    """Write a data set of the `train` pairs' train queries and the `test` pairs' test queries.

    Neighbours, which are each other's hard negatives, stay together: a pair's first queries in that order are
    taken. Test pools stay whole; the train pool holds what the train queries name.

    Args:
        source: an M-BEIR data set, which the new one links pictures, instructions and truth from.
        out: the new one.
        train, test: names of pairs.
        sizes: most queries of a pair, by split.
    """
    layout = Layout(source)
    for name in SHARED:
        (out / name).symlink_to((source / name).resolve())
    named: set[str] = set()
    for pair in _named(layout.pairs("train"), train):
        queries = _first(list(layout.queries(pair, "train")), sizes["train"])
        write_jsonl(_ready(Files(out).queries(pair, "train")), queries)
        named |= {did for query in queries for did in (*query.pos_cand_list, *query.neg_cand_list)}
    pool = (one for one in layout.global_pool("train") if one.did in named)
    write_jsonl(_ready(Files(out).global_pool("train")), pool)
    for pair in _named(layout.pairs("test"), test):
        queries = sorted(layout.queries(pair, "test"), key=lambda query: query_number(query.qid))
        write_jsonl(_ready(Files(out).queries(pair, "test")), queries[: sizes["test"]])
        shutil.copy(layout.pool_path(pair, "test"), _ready(Files(out).pool(pair, "test")))


def cut_traces(kept: Path, out: Path, dataset: Path) -> None:
    """Write the kept traces of the queries that a data set has to `out/kept.jsonl`."""
    layout = Layout(dataset)
    known = {query.qid for pair in layout.pairs("train") for query in layout.queries(pair, "train")}
    traces = (trace for trace in read_jsonl(kept / "kept.jsonl", Trace) if trace.qid in known)
    write_jsonl(_ready(out / "kept.jsonl"), traces)


def write_candidate_traces(dataset: Path, kept: Path) -> None:
    """Write what each candidate could say before its embedding to `kept/candidates.jsonl`.

    The answer is the candidate in words (a made data set describes its pictures), the reasoning the same
    words as something seen (a picture) or known (a text).
    """
    layout = Layout(dataset)
    described = {row.did: row.text for row in read_jsonl(dataset / "truth" / "candidates.jsonl", Description)}
    pools = [layout.global_pool("train"), *(layout.pool(pair, "test") for pair in layout.pairs("test"))]
    every = (one for pool in pools for one in pool)
    found = {one.did: (described.get(one.did) or one.txt or "", one.img_path) for one in every}
    write_jsonl(
        _ready(kept / "candidates.jsonl"),
        (
            CandidateTrace(
                did=did, reasoning=f"{'reference' if shown else 'step'} : {text} ;", answer=f"target : {text}"
            )
            for did, (text, shown) in found.items()
        ),
    )


def _named(pairs: Iterable[Pair], names: Sequence[str]) -> list[Pair]:
    return [pair for pair in pairs if pair.name in names]


def _first(queries: Sequence[Query], most: int) -> list[Query]:
    order = neighbour_order(
        [query.query_img_path for query in queries],
        [query.pos_cand_list for query in queries],
        [query.neg_cand_list for query in queries],
    )
    return [queries[at] for at in sorted(order[:most])]


def _ready(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
