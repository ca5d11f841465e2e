"""How much a data set holds: queries per split and pool sizes, per pair."""

from collections import Counter
from pathlib import Path
from typing import Any

from trace_retriever.io.progress import progress
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split, sorted_pairs
from trace_retriever.mbeir.streams import read_candidates, read_queries


def count_dataset(layout: Layout) -> dict[str, Any]:
    """Counts per pair and of the global pools.

    Returns:
        `{"pairs": {name: {"queries": {split: n}, "pool": {split: n}}}, "global_pool": {split: n}}`, without
        the splits that the data set lacks.

    Raises:
        DataError: a file that the layout implies is missing or malformed.
    """
    splits = [split for split in SPLITS if any((layout.root / "query" / split).glob("mbeir_*.jsonl"))]
    members = {split: layout.pairs(split) for split in splits}
    every = sorted_pairs({pair for pairs in members.values() for pair in pairs})
    in_train = _global_train_sizes(layout) if "train" in splits else Counter[tuple[int, str]]()
    mixed = {key: count for name in _mixed(layout, every) for key, count in _by_task(layout, name)}
    pairs = {}
    for pair in progress(every, "counting", unit="pair"):
        own = [split for split in splits if pair in members[split]]
        pairs[pair.name] = {
            "queries": {split: _query_count(layout, pair, split, mixed) for split in own},
            "pool": {split: _pool_size(layout, pair, split, in_train) for split in own},
        }
    return {
        "pairs": pairs,
        "global_pool": {split: _lines(layout.files.global_pool(split)) for split in splits},
    }


def _mixed(layout: Layout, pairs: list[Pair]) -> list[str]:
    """Data sets whose train queries lie in one file, some pair of which has none of its own."""
    found = [pair.dataset for pair in pairs if not layout.files.queries(pair, "train").exists()]
    return [name for name in dict.fromkeys(found) if layout.files.dataset_queries(name).exists()]


def _by_task(layout: Layout, dataset: str) -> list[tuple[tuple[str, int], int]]:
    """Train queries of a data set's pairs, in one pass over its file."""
    path = layout.files.dataset_queries(dataset)
    records = progress(read_queries(path), f"counting {path.name}", unit="query")
    return [((dataset, task), count) for task, count in Counter(q.task_id for q in records).items()]


def _query_count(layout: Layout, pair: Pair, split: Split, mixed: dict[tuple[str, int], int]) -> int:
    own = layout.files.queries(pair, split)
    return _lines(own) if own.exists() else mixed.get((pair.dataset, pair.task), 0)


def _pool_size(layout: Layout, pair: Pair, split: Split, in_train: Counter[tuple[int, str]]) -> int:
    path = layout.pool_path(pair, split)
    if path == layout.files.global_pool("train"):
        return in_train[pair.dataset_id, pair.candidate_modality]
    return _lines(path)


def _global_train_sizes(layout: Layout) -> Counter[tuple[int, str]]:
    """Candidates of the global train pool by data set id and modality, in one pass."""
    path = layout.files.global_pool("train")
    records = progress(read_candidates(path), f"counting {path.name}", unit="candidate")
    return Counter((int(c.did.partition(":")[0]), c.modality.value) for c in records)


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for line in stream if line.strip())
