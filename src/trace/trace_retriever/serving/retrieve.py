"""Searching candidates for a query's vector: one snapshot of vectors, pools and index, swapped whole."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from trace_retriever.engine.encoded import Vector
from trace_retriever.errors import DataError
from trace_retriever.io.files import digest_bytes, read_json
from trace_retriever.mbeir.ids import candidate_id, candidate_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.search.exact import ExactIndex
from trace_retriever.search.serving import ServingIndex, read_manifest
from trace_retriever.serving.errors import BadRequest, SwapRefused
from trace_retriever.serving.pinned import PinnedMatrix, read_candidates
from trace_retriever.store.embeddings import ABOUT


class Payload(TypedDict):
    """What is known of a candidate beside its vector; a picture by its path, relative to the data set."""

    txt: str | None
    img_path: str | None
    modality: str


@dataclass(frozen=True)
class Hit:
    """A candidate that was found: its did, its inner product with the query, what is known of it."""

    did: str
    score: float
    payload: Payload


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where an index comes from.

    Attributes:
        embeddings: what `trace embed` wrote.
        dataset: an M-BEIR data set whose pools can be searched by name; None leaves the whole.
        index: a saved `ServingIndex` over all candidates; None searches exactly.
        split: whose pools.
    """

    embeddings: Path
    dataset: Path | None = None
    index: Path | None = None
    split: Split = "test"


@dataclass(frozen=True)
class Snapshot:
    """Everything that a search needs, as one immutable whole.

    Attributes:
        digest: names vectors, tables and the index.
        matrix: the stored vectors.
        numbers: int64 [C], each row's did as M-BEIR's integer, ascending.
        table: the candidates, a row each.
        everything: all candidates, searched exactly.
        pools: name → the rows of a pool, searched exactly.
        fast: all candidates by an index; None where there is none.
    """

    digest: str
    matrix: PinnedMatrix = field(repr=False)
    numbers: NDArray[np.int64] = field(repr=False)
    table: Any = field(repr=False)
    everything: ExactIndex = field(repr=False)
    pools: Mapping[str, ExactIndex] = field(repr=False)
    fast: ServingIndex | None = field(default=None, repr=False)

    @classmethod
    def load(cls, sources: Sources, models: frozenset[str]) -> "Snapshot":
        """Read, verify and pin.

        Args:
            sources: where from.
            models: digests that the served model goes by.

        Raises:
            DataError: something is missing, was altered, or belongs to another model.
        """
        about = read_json(sources.embeddings / ABOUT)
        _check_model(about.get("model"), models, sources.embeddings)
        folder = sources.embeddings / "candidates"
        matrix = PinnedMatrix.open(folder)
        table = read_candidates(folder, matrix.manifest)
        numbers = np.fromiter(map(candidate_number, table["did"].to_pylist()), np.int64, table.num_rows)
        if (np.diff(numbers) <= 0).any():
            raise DataError("rows are not by ascending did", where=folder)
        fast = None if sources.index is None else _load_index(sources.index, matrix, models)
        pools = {} if sources.dataset is None else _pools(sources.dataset, sources.split, matrix, numbers)
        return cls(
            digest=served_digest(matrix.digest, sources.index),
            matrix=matrix,
            numbers=numbers,
            table=table,
            everything=ExactIndex(matrix, keep=True),
            pools=pools,
            fast=fast,
        )

    def check(self, pool: str | None) -> None:
        """Whether there is such a pool.

        Raises:
            BadRequest: there is not.
        """
        if pool is not None and pool not in self.pools:
            known = ", ".join(self.pools) or "none: the server was started without --dataset"
            raise BadRequest(f"no pool {pool!r}", where="parameter pool", remedy=f"pools are {known}")

    def search(self, vector: Vector, k: int, pool: str | None) -> list[Hit]:
        """The k candidates with the largest inner product, best first; all of them where there are fewer.

        Args:
            vector: float32 [D].
            k: at least 1.
            pool: its name; None for all candidates.
        """
        self.check(pool)
        rows, scores = self._rows(vector[None], k, pool)
        columns = ("modality", "text", "img_path")
        found = self.table.select(columns).take(rows).to_pylist()
        return [
            Hit(
                candidate_id(int(self.numbers[row])),
                float(score),
                Payload(txt=about["text"], img_path=about["img_path"], modality=about["modality"]),
            )
            for row, score, about in zip(rows, scores, found, strict=True)
        ]

    def _rows(
        self, query: NDArray[np.float32], k: int, pool: str | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if pool is None and self.fast is not None:
            found = self.fast.search(query, k)
            if (found.rows >= 0).all():  # else the index named too few: the exact search has them all
                return found.rows[0], found.scores[0]
        index = self.everything if pool is None else self.pools[pool]
        exact = index.search(query, k)
        return index.pool.rows[exact.rows[0]] if index.pool.rows is not None else exact.rows[0], exact.scores[
            0
        ]


class Retriever:
    """The snapshot in use, and how another takes its place; for any number of threads.

    Args:
        sources: read again at each swap.
        models: digests that the served model goes by.
        expected: the digest that candidates and index must have at first; None takes any.

    Raises:
        DataError: see `Snapshot.load`; or they have another digest.
    """

    def __init__(self, sources: Sources, models: frozenset[str], expected: str | None = None) -> None:
        self.sources, self.models = sources, models
        self._swapping = threading.Lock()
        self._snapshot = Snapshot.load(sources, models)
        if expected is not None and self._snapshot.digest != expected:
            raise DataError(
                f"candidates and index have digest {self._snapshot.digest}, expected {expected}",
                where=sources.index or sources.embeddings,
                remedy="name those that were approved, or the digest that `trace index` printed",
            )

    @property
    def snapshot(self) -> Snapshot:
        """What is in use now; who holds one may go on with it after a swap."""
        return self._snapshot

    def search(self, vector: Vector, k: int, pool: str | None = None) -> list[Hit]:
        """Search what is in use now; see `Snapshot.search`."""
        return self._snapshot.search(vector, k, pool)

    def swap(self, expected: str | None = None) -> str:
        """Read the directories again and put what is there in use, whole; blocks, searches go on.

        Args:
            expected: the digest that it must have.

        Returns:
            The digest of what is in use now.

        Raises:
            SwapRefused: a swap is under way, or what is there is not whole, not this model's or not what was
                expected; the old one stays in use.
        """
        if not self._swapping.acquire(blocking=False):
            raise SwapRefused("another swap is under way", remedy="try again when it is done")
        try:
            new = Snapshot.load(self.sources, self.models)
            if expected is not None and new.digest != expected:
                raise SwapRefused(f"found {new.digest}, expected {expected}", where=self.sources.embeddings)
            self._snapshot = new
            return new.digest
        except DataError as error:
            raise SwapRefused(error.problem, where=error.where, remedy=error.remedy) from None
        finally:
            self._swapping.release()


def _check_model(found: Any, models: frozenset[str], where: Path) -> None:
    if found not in models:
        raise DataError(
            f"the vectors are of another model: {found}, here {' or '.join(sorted(models))}",
            where=where,
            remedy="run `trace embed` with this model",
        )


def _load_index(directory: Path, matrix: PinnedMatrix, models: frozenset[str]) -> ServingIndex:
    manifest = read_manifest(directory)
    _check_model(manifest.model, models, directory)
    return ServingIndex.load(directory, matrix, model=manifest.model, embeddings=matrix.digest)


def _pools(
    dataset: Path, split: Split, matrix: PinnedMatrix, numbers: NDArray[np.int64]
) -> dict[str, ExactIndex]:
    layout, found = Layout(dataset), dict[Path, ExactIndex]()
    pools: dict[str, ExactIndex] = {}
    for pair in layout.pairs(split):
        path = layout.pool_path(pair, split)
        if path not in found:
            dids = (candidate_number(candidate.did) for candidate in layout.pool(pair, split))
            found[path] = ExactIndex(
                matrix, _rows_of(np.sort(np.fromiter(dids, np.int64)), numbers, path), keep=True
            )
        pools[pair.name] = found[path]
    return pools


def _rows_of(asked: NDArray[np.int64], numbers: NDArray[np.int64], where: Path) -> NDArray[np.int64]:
    rows = np.searchsorted(numbers, asked)
    known = rows < len(numbers)
    known[known] = numbers[rows[known]] == asked[known]
    if not known.all():
        did = candidate_id(int(asked[~known][0]))
        raise DataError(f"candidate {did} was not embedded", where=where, remedy="run `trace embed` again")
    return rows.astype(np.int64)


def served_digest(candidates: str, index: Path | None) -> str:
    """What a server calls what it searches: one digest of candidates and, where there is one, the index."""
    if index is None:
        return candidates
    own = (index / "manifest.json").read_bytes()
    return digest_bytes(f"{candidates}\0{digest_bytes(own)}".encode())
