"""What of a data set is encoded: every candidate of the evaluated pools once, and every query once."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_retriever.bulk.records import Records, locate_candidates, locate_queries
from trace_retriever.errors import ConfigError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Candidate, Query


@dataclass(frozen=True)
class QueryFile:
    """A file with queries of a pair and split."""

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


def collect_queries(
    layout: Layout, splits: Iterable[Split], names: Sequence[str]
) -> tuple[Records[Query], list[QueryFile]]:
    """All queries of the chosen splits and pairs, by splits, pairs and files; and what each file holds."""
    files = [QueryFile(pair, split) for split in splits for pair in choose_pairs(layout, split, names)]
    return locate_queries(_query_source(layout, file) for file in files), files


def _query_source(layout: Layout, file: QueryFile) -> tuple[Path, Callable[[Query], bool]]:
    path = layout.query_path(file.pair, file.split)
    mixed = path != layout.files.queries(file.pair, file.split)
    return path, lambda query: not mixed or query.task_id == file.pair.task


def collect_candidates(
    layout: Layout, splits: Iterable[Split], names: Sequence[str], *, global_pool: bool
) -> Records[Candidate]:
    """Every candidate of the pools, once, by ascending did.

    Raises:
        DataError: two pools have one did with different contents.
    """
    pools: dict[Path, list[Pair] | None] = {}  # which pairs' candidates are meant; None: all of them
    for split in splits:
        for pair in choose_pairs(layout, split, names):
            path = layout.pool_path(pair, split)
            if path == layout.files.global_pool("train"):  # the pair has no pool of its own
                pools[path] = [*(pools.get(path) or []), pair]
            else:
                pools[path] = None
        if global_pool:
            pools[layout.files.global_pool(split)] = None
    return locate_candidates(((path, _of_pairs(pairs)) for path, pairs in pools.items()), root=layout.root)


def _of_pairs(pairs: Sequence[Pair] | None) -> Callable[[Candidate], bool]:
    if pairs is None:
        return lambda _: True
    kinds = {(str(pair.dataset_id), pair.candidate_modality) for pair in pairs}
    return lambda candidate: (candidate.did.partition(":")[0], candidate.modality) in kinds
