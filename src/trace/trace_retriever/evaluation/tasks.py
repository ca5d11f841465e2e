"""What is scored: a pair's queries with their vectors and positives, and the pools they are searched in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.evaluation.systems import Flags
from trace_retriever.mbeir.ids import candidate_id, candidate_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Truth
from trace_retriever.search.exact import ExactIndex
from trace_retriever.store.embeddings import MODALITIES, Embeddings
from trace_retriever.store.matrix import Vectors

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Pool:
    """Candidates that are searched together.

    A pool has up to 5.6 million: of each only numbers are held, ids are made where they are asked for.

    Attributes:
        name: "local" or "global".
        index: their vectors, by ascending did.
        numbers: int64 [N], their dids as M-BEIR's integers, ascending.
        kinds: int8 [N], the place of their modalities in `MODALITIES`.
    """

    name: str
    index: ExactIndex
    numbers: NDArray[np.int64]
    kinds: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.numbers)

    def dids(self, places: NDArray[np.int64]) -> NDArray[np.str_]:
        """The dids at some places of the pool, of any shape."""
        dids = [candidate_id(number) for number in self.numbers[places.ravel()].tolist()]
        return np.array(dids, dtype=str).reshape(places.shape)

    def modalities(self, places: NDArray[np.int64]) -> NDArray[np.str_]:
        """The modalities at some places of the pool, of any shape."""
        found: NDArray[np.str_] = np.array(MODALITIES)[self.kinds[places]]
        return found

    def reachable(self, positives: Sequence[frozenset[str]]) -> NDArray[np.int64]:
        """How many of each query's positives the pool holds, [Q]."""
        owners = np.repeat(np.arange(len(positives)), [len(good) for good in positives])
        asked = np.fromiter((candidate_number(did) for good in positives for did in good), np.int64)
        rows = np.searchsorted(self.numbers, asked).clip(max=len(self) - 1)
        return np.bincount(owners[self.numbers[rows] == asked], minlength=len(positives))


@dataclass(frozen=True)
class Task:
    """One pair's queries.

    Attributes:
        table: their rows of the embeddings' query table.
        both: direct and reasoned vectors, float32 [Q, 2, D].
        positives: which candidates answer each.
        truths: what a perfect reasoner would write, for each query; None where the data set does not say.
    """

    pair: Pair
    table: "pd.DataFrame"
    both: Vectors
    positives: list[frozenset[str]]
    truths: list[Truth] | None

    @property
    def true_complex(self) -> Flags | None:
        """Which queries truly need reasoning, [Q]."""
        if self.truths is None:
            return None
        return np.array([truth.route == "complex" for truth in self.truths], dtype=bool)


def load_pool(embeddings: Embeddings, name: str, dids: Iterable[str]) -> Pool:
    """Open some candidates as a pool.

    Raises:
        DataError: there are none, or one of them was not embedded.
    """
    rows = embeddings.rows(dids)
    if not len(rows):
        raise DataError(f"the {name} pool is empty", where=embeddings.directory)
    index = ExactIndex(embeddings.candidates, rows)
    return Pool(name, index, embeddings.numbers[rows], embeddings.kinds[rows])


def load_task(layout: Layout, embeddings: Embeddings, pair: Pair, split: Split) -> Task:
    """A pair's embedded queries with the data set's judgements on them.

    Raises:
        DataError: the pair was not embedded, a query has no positive, or the truth does not know it.
    """
    table, both = embeddings.of(pair.name, split)
    if not len(table):
        raise DataError(
            f"no {split} queries of {pair.name} were embedded",
            where=embeddings.directory,
            remedy="embed this split, or leave the pair out of evaluate.pairs",
        )
    qrels = layout.qrels(pair, split)
    positives = [qrels.positives(qid) for qid in table["qid"]]
    for qid, found in zip(table["qid"], positives, strict=True):
        if not found:
            raise DataError(f"query {qid} has no positive", where=layout.files.qrels(pair, split))
    return Task(pair, table, both, positives, _truths(layout, split, list(table["qid"])))


def _truths(layout: Layout, split: Split, qids: list[str]) -> list[Truth] | None:
    known = layout.truth(split)
    if known is None:
        return None
    missing = [qid for qid in qids if qid not in known]
    if missing:
        raise DataError(f"the truth of query {missing[0]} is missing", where=layout.files.truth(split))
    return [known[qid] for qid in qids]


def match(task: Task, baseline: Embeddings, split: Split) -> Task:
    """The same queries with another model's vectors.

    Raises:
        DataError: the other model was not given exactly these queries.
    """
    table, both = baseline.of(task.pair.name, split)
    if list(table["qid"]) != list(task.table["qid"]):
        raise DataError(
            f"the baseline has other {split} queries of {task.pair.name}",
            where=baseline.directory,
            remedy="embed both models with the same params on the same data set",
        )
    return Task(task.pair, table, both, task.positives, task.truths)
