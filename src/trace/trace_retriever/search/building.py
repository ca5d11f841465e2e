"""Building an index for serving: tuned on some queries, held against exact search on others, or refused."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError, Refused
from trace_retriever.io.progress import progress
from trace_retriever.search.exact import ExactIndex
from trace_retriever.search.serving import Kind, ServingIndex, ServingManifest, set_probes
from trace_retriever.store.matrix import Matrix

BLOCK = 16_384
TRAINING = 64  # vectors a list that k-means is given
LEAST_TRAINING = 39  # below which FAISS warns


@dataclass(frozen=True)
class Demand:
    """What an index must reach, and how hard it may try.

    Attributes:
        recall: share of the exact best k that must be found.
        k: results that count.
        probes: the largest share of the lists that may be searched.
        widths: candidates to score again, as multiples of k, the cheapest first.
    """

    recall: float = 0.99
    k: int = 50
    probes: float = 0.5
    widths: tuple[int, ...] = (2, 4, 8, 16, 32)


def build(
    matrix: Matrix,
    queries: NDArray[Any],
    *,
    kind: Kind,
    model: str,
    embeddings: str,
    demand: Demand | None = None,
) -> ServingIndex:
    """Build an index over all rows of a matrix.

    Args:
        matrix: the stored vectors [N, D], read block by block.
        queries: vectors [Q, D] of queries like those to come, at least two; every second one is tuned on, the
            rest are measured with.
        kind: "flat": float32 vectors; "ivf-rabitq": a bit a dimension; "ivf-pq": four bits every four
            dimensions.
        model, embeddings: digests that the index is pinned to.
        demand: what it must reach.

    Raises:
        Refused: the recall stays below the demand whatever the tuning; metrics say how far it came.
        DataError: fewer than two queries, or no candidates.
    """
    import faiss

    if not matrix.shape[0] or len(queries) < 2:
        raise DataError(f"{matrix.shape[0]} candidates and {len(queries)} queries; 1 and 2 are needed")
    lists = 1 if kind == "flat" else _lists(matrix.shape[0])
    index = faiss.index_factory(
        matrix.shape[1], _recipe(kind, matrix.shape[1], lists), faiss.METRIC_INNER_PRODUCT
    )
    sample = _spread(matrix.shape[0], TRAINING * max(lists, 256))
    if not index.is_trained:
        index.train(np.ascontiguousarray(matrix[sample], np.float32))
    rows = np.arange(matrix.shape[0])
    _add(index, matrix, rows)
    manifest = ServingManifest(
        kind=kind,
        dim=matrix.shape[1],
        entries=len(rows),
        gone=0,
        trained=0 if kind == "flat" else len(sample),
        lists=lists,
        probes=1,
        width=1,
        recall=0.0,
        recall_k=1,
        recall_queries=1,
        model=model,
        embeddings=embeddings,
        faiss=faiss.__version__,
    )
    return _held(ServingIndex(index, rows, matrix, manifest), queries, demand or Demand())


def update(
    index: ServingIndex,
    matrix: Matrix,
    moved: NDArray[np.int64],
    queries: NDArray[Any],
    *,
    model: str,
    embeddings: str,
    demand: Demand | None = None,
) -> ServingIndex:
    """Follow embeddings of the same model to which candidates were added, or from which some were taken.

    New rows are added, without training again; entries whose candidate is gone stay in FAISS and are passed
    over (so searches get wider: build anew when they are many). A changed vector is one gone and one added.
    The result is tuned and held against exact search like a new index; the old one stays as it is.

    Args:
        index: the old one.
        matrix: the new vectors [N, D].
        moved: int64 [entries], where each entry's vector lies in `matrix` now; -1 where it is gone or has
            changed.
        queries, model, embeddings, demand: as in `build`.

    Raises:
        Refused: the recall is below the demand.
        DataError: the index is of another model, or `moved` does not fit.
    """
    import faiss

    if model != index.manifest.model:
        raise DataError(
            "vectors of another model: an index does not outlive its model", remedy="build it anew"
        )
    here = moved[moved >= 0]
    if (
        len(moved) != index.manifest.entries
        or len(np.unique(here)) != len(here)
        or (moved[index.rows < 0] >= 0).any()
    ):
        raise DataError(
            f"{index.manifest.entries} entries need as many places, each once and none for one gone"
        )
    if len(here) and here.max() >= matrix.shape[0]:
        raise DataError(f"an entry has moved to row {here.max()} of {matrix.shape[0]}")
    fresh = np.setdiff1d(np.arange(matrix.shape[0]), here)
    copy = faiss.clone_index(index.faiss_index)
    _add(copy, matrix, fresh)
    rows = np.concatenate([np.where(moved >= 0, moved, -1), fresh])
    changes = {"entries": len(rows), "gone": int((rows < 0).sum()), "embeddings": embeddings}
    manifest = index.manifest.model_copy(update=changes)
    return _held(ServingIndex(copy, rows, matrix, manifest), queries, demand or Demand())


def recall(index: ServingIndex, queries: NDArray[Any], truth: NDArray[np.int64], **how: int) -> float:
    """The share of the exact best [Q, K] that an index finds among as many."""
    found = index.search(queries, truth.shape[1], **how).rows
    return float(np.mean([np.isin(right, ours).mean() for right, ours in zip(truth, found, strict=True)]))


def _held(index: ServingIndex, queries: NDArray[Any], demand: Demand) -> ServingIndex:
    """The index, tuned on every second query and measured on the rest, or a refusal."""
    k = min(demand.k, len(index))
    rows = np.sort(index.rows[index.rows >= 0])
    truth = rows[ExactIndex(index.matrix, rows).search(queries, k).rows]
    probes, width = _tuned(index, queries[::2], truth[::2], demand)
    reached = recall(index, queries[1::2], truth[1::2], probes=probes, width=width)
    figures = {"probes": probes, "width": width, "recall": reached, "recall_k": k}
    if reached < demand.recall:
        raise Refused(
            f"recall@{k} of the {index.manifest.kind} index is {reached:.4f}, {demand.recall} is demanded "
            f"({len(queries[1::2])} held-out queries, {probes} of {index.manifest.lists} lists searched, "
            f"{width} candidates scored again)",
            metrics=dict(figures),
            remedy="allow more probes or widths, choose another kind, or serve the exact search",
        )
    figures["recall_queries"] = len(queries[1::2])
    return replace(index, manifest=index.manifest.model_copy(update=figures))


def _tuned(
    index: ServingIndex, queries: NDArray[Any], truth: NDArray[np.int64], demand: Demand
) -> tuple[int, int]:
    """The fewest probes that reach the demand at the largest width, then the smallest width that still does.

    Half of the permitted loss is left for the queries that are measured with.
    """
    aim = (1 + demand.recall) / 2
    k = truth.shape[1]
    widths = [min(times * k, index.manifest.entries) for times in demand.widths]
    most = max(1, int(index.manifest.lists * demand.probes))
    steps = sorted({min(2**power, most) for power in range(most.bit_length() + 1)})
    for probes in progress(steps, "tuning the index", unit="setting"):
        if recall(index, queries, truth, probes=probes, width=widths[-1]) >= aim:
            break
    for width in widths:
        if recall(index, queries, truth, probes=probes, width=width) >= aim:
            return probes, width
    return probes, widths[-1]


def _lists(count: int) -> int:
    """About 4 √N lists, as FAISS's guidelines have it, if there are enough vectors for k-means."""
    return max(1, min(int(4 * count**0.5), count // LEAST_TRAINING))


def _recipe(kind: Kind, dim: int, lists: int) -> str:
    """FAISS's factory string: a random rotation spreads the information evenly before bits are cut."""
    if kind == "flat":
        return "Flat"
    if kind == "ivf-rabitq":
        return f"RR{dim},IVF{lists},RaBitQfs"
    if dim % 4:
        raise DataError(f"ivf-pq needs dimensions in fours, not {dim}", remedy="use ivf-rabitq")
    return f"RR{dim},IVF{lists},PQ{dim // 4}x4fs"


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """Row numbers spread evenly: the same sample each time."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))


def _add(index: Any, matrix: Matrix, rows: NDArray[np.int64]) -> None:
    set_probes(index, 1)
    blocks = range(0, len(rows), BLOCK)
    for start in progress(blocks, "indexing", unit="block"):
        index.add(np.ascontiguousarray(matrix[rows[start : start + BLOCK]], np.float32))
