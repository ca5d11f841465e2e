"""How much a data set holds: queries per split and pool sizes, per pair."""

from collections import Counter
from pathlib import Path
from typing import Any

from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split, sorted_pairs


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
    pairs = {}
    for pair in every:
        own = [split for split in splits if pair in members[split]]
        pairs[pair.name] = {
            "queries": {split: _query_count(layout, pair, split) for split in own},
            "pool": {split: _pool_size(layout, pair, split, in_train) for split in own},
        }
    return {
        "pairs": pairs,
        "global_pool": {split: _lines(layout.files.global_pool(split)) for split in splits},
    }


def _query_count(layout: Layout, pair: Pair, split: Split) -> int:
    own = layout.files.queries(pair, split)
    return _lines(own) if own.exists() else sum(1 for _ in layout.queries(pair, split))


def _pool_size(layout: Layout, pair: Pair, split: Split, in_train: Counter[tuple[int, str]]) -> int:
    path = layout.pool_path(pair, split)
    if path == layout.files.global_pool("train"):
        return in_train[pair.dataset_id, pair.candidate_modality]
    return _lines(path)


def _global_train_sizes(layout: Layout) -> Counter[tuple[int, str]]:
    """Candidates of the global train pool by data set id and modality, in one pass."""
    return Counter((int(c.did.partition(":")[0]), c.modality.value) for c in layout.global_pool("train"))


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(1 for line in stream if line.strip())
