"""The pools of a data set as a visitor sees them: names, sizes, pictures, results."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

import numpy as np
from numpy.typing import NDArray

from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.engine.encoded import Vector
from trace_retriever.mbeir.ids import candidate_id, candidate_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Modality
from trace_retriever.search.exact import ExactIndex
from trace_retriever.serving.retrieve import Retriever

EVERYTHING = "everything"


@dataclass(frozen=True)
class Entry:
    """One candidate.

    Attributes:
        did: its id.
        text: its words, cleaned; None for a picture alone.
        picture: the picture's path relative to the data set's root; None for words alone.
        score: its cosine with what was asked; 0 where nothing was.
    """

    did: str
    text: str | None
    picture: str | None
    score: float = 0.0


class Pools:
    """What can be searched: the local pool of each pair, and everything that was embedded.

    Args:
        layout: the data set.
        retriever: its candidates and their vectors.
    """

    def __init__(self, layout: Layout, retriever: Retriever) -> None:
        self.split, self._retriever = retriever.sources.split, retriever
        self.pairs: Sequence[Pair] = layout.pairs(self.split)

    @property
    def names(self) -> tuple[str, ...]:
        """The pools' names: those of their pairs, then `everything`."""
        return (*(pair.name for pair in self.pairs), EVERYTHING)

    def pair(self, pool: str) -> Pair | None:
        """The pair that a pool belongs to; None for `everything`.

        Raises:
            NoAnswer: there is no such pool.
        """
        if pool not in self.names:
            remedy = f"choose one of {', '.join(self.names)}"
            raise NoAnswer(f"There is no pool {pool!r}.", status=HTTPStatus.NOT_FOUND, remedy=remedy)
        return None if pool == EVERYTHING else Pair.parse(pool)

    def size(self, pool: str) -> int:
        """How many candidates a pool has; raises as `pair`."""
        return len(self._index(pool))

    def search(self, vector: Vector, k: int, pool: str) -> list[Entry]:
        """The k candidates of a pool with the largest cosine, best first; raises as `pair`.

        Args:
            vector: float32 [D], of unit length.
            k: how many.
            pool: one of `names`.
        """
        name = None if self.pair(pool) is None else pool
        return [
            Entry(hit.did, hit.payload["txt"] or None, hit.payload["img_path"] or None, hit.score)
            for hit in self._retriever.search(vector, k, name)
        ]

    def find(self, did: str) -> Entry | None:
        """A candidate by its id, or None where there is none.

        Raises:
            DataError: the id is malformed.
        """
        numbers, number = self._retriever.snapshot.numbers, candidate_number(did)
        row = int(np.searchsorted(numbers, number))
        if row == len(numbers) or numbers[row] != number:
            return None
        return self._entries(np.array([row]))[0]

    def pictures(self, pool: str, page: int, count: int) -> list[Entry]:
        """Some of a pool's pictures, or of all pictures where it has none; pages go round in a circle.

        Their order is drawn once with a fixed seed: neighbours in a pool often show nearly the same. Raises
        as `pair`.
        """
        rows = self._with_pictures(self._index(pool))
        if not len(rows):
            rows = self._with_pictures(self._index(EVERYTHING))
        order = np.random.default_rng(0).permutation(rows)
        places = np.arange(page * count, page * count + min(count, len(rows))) % max(1, len(rows))
        return self._entries(order[places])

    def _index(self, pool: str) -> ExactIndex:
        snapshot = self._retriever.snapshot
        return snapshot.everything if self.pair(pool) is None else snapshot.pools[pool]

    def _with_pictures(self, index: ExactIndex) -> NDArray[np.int64]:
        """The rows of a pool's candidates that have a picture."""
        kinds = self._retriever.snapshot.table["modality"].to_numpy(zero_copy_only=False)
        rows = np.arange(len(kinds)) if index.pool.rows is None else index.pool.rows
        shown: NDArray[np.int64] = rows[kinds[rows] != Modality.TEXT.value]
        return shown

    def _entries(self, rows: NDArray[np.int64]) -> list[Entry]:
        snapshot = self._retriever.snapshot
        found = snapshot.table.select(("text", "img_path")).take(rows).to_pylist()
        return [
            Entry(candidate_id(int(snapshot.numbers[row])), about["text"] or None, about["img_path"] or None)
            for row, about in zip(rows, found, strict=True)
        ]
