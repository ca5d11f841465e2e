"""Equal contents get equal vectors, so that their scores tie: made in different company, last bits differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.store.embeddings import read_parquet
from trace_retriever.store.filling import Shard


def unite_twins(shards: Sequence[Shard]) -> None:
    """Give every row the vector of the first row that has its key; doing it again changes nothing.

    Args:
        shards: all shards of a matrix, in order, each whole.
    """
    keys = np.concatenate([_keys(shard) for shard in shards])
    order = np.lexsort((np.arange(len(keys)), keys["low"], keys["high"]))
    first = np.ones(len(keys), bool)
    first[1:] = keys[order][1:] != keys[order][:-1]
    leaders = order[np.maximum.accumulate(np.where(first, np.arange(len(keys)), 0))]
    twins, leaders = order[~first], leaders[~first]
    for shard in np.unique(twins // shards[0].shape[0]).tolist():
        mine = twins // shards[0].shape[0] == shard
        _copy(shards, leaders[mine], twins[mine])


def _copy(shards: Sequence[Shard], leaders: NDArray[np.int64], twins: NDArray[np.int64]) -> None:
    """Copy rows to rows of one shard."""
    size = shards[0].shape[0]
    target: Any = np.load(shards[int(twins[0]) // size].vectors, mmap_mode="r+")
    for shard in np.unique(leaders // size).tolist():
        here = leaders // size == shard
        source = np.load(shards[shard].vectors, mmap_mode="r")
        target[twins[here] % size] = source[leaders[here] % size]
    target.flush()


def _keys(shard: Shard) -> NDArray[Any]:
    """A shard's keys as two halves."""
    found = read_parquet(shard.table, ("key",))["key"].to_pylist()
    keys = np.empty(len(found), [("high", "u8"), ("low", "u8")])
    keys["high"] = [int(key[:16], 16) for key in found]
    keys["low"] = [int(key[16:], 16) for key in found]
    return keys
