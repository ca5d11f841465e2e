"""The vectors that `embed` leaves behind, with what belongs to each row."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.files import read_json

if TYPE_CHECKING:
    import pandas as pd

Vectors = NDArray[np.float32]
REMEDY = "run `trace embed` again"


@dataclass(frozen=True)
class Embeddings:
    """An embeddings directory, its vectors mapped rather than read.

    Attributes:
        candidates: float32 [C, D], one row a candidate, by ascending did.
        candidate_table: their did, modality, text and img_path.
        queries: float32 [Q, 2, D]: the direct and the reasoned vector.
        query_table: one row a query: qid, pair, split, row, p_emb, auto_route, trace, ...
        about: `embed.json`.
    """

    directory: Path
    candidates: Vectors
    candidate_table: "pd.DataFrame"
    queries: Vectors
    query_table: "pd.DataFrame"
    about: dict[str, Any]

    @classmethod
    def load(cls, directory: Path) -> "Embeddings":
        """Open a directory that `embed` wrote.

        Raises:
            DataError: a file is missing or unreadable, or tables and vectors do not fit together.
        """
        found = cls(
            directory=directory,
            candidates=_vectors(directory / "candidates.npy"),
            candidate_table=_table(directory / "candidates.parquet"),
            queries=_vectors(directory / "queries.npy"),
            query_table=_table(directory / "queries.parquet"),
            about=read_json(directory / "embed.json"),
        )
        dim = found.about.get("dim")
        expected = {
            "candidates.npy": (len(found.candidate_table), dim),
            "queries.npy": (len(found.query_table), 2, dim),
        }
        for (name, shape), array in zip(expected.items(), (found.candidates, found.queries), strict=True):
            if array.shape != shape or array.dtype != np.float32:
                problem = f"vectors of shape {array.shape}, {array.dtype}; the table says {shape}, float32"
                raise DataError(problem, where=directory / name, remedy=REMEDY)
        return found

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {did: row for row, did in enumerate(self.candidate_table["did"])}

    def candidate(self, did: str) -> dict[str, Any] | None:
        """A candidate's row of the table, or None where it was not embedded."""
        row = self._rows.get(did)
        return (
            None
            if row is None
            else {str(key): value for key, value in self.candidate_table.iloc[row].items()}
        )

    def rows(self, dids: Iterable[str]) -> NDArray[np.int64]:
        """Rows of some candidates, ascending (which is ascending by did).

        Raises:
            DataError: one of them was not embedded.
        """
        try:
            return np.sort(np.fromiter((self._rows[did] for did in dids), np.int64))
        except KeyError as error:
            raise DataError(
                f"candidate {error.args[0]} was not embedded", where=self.directory, remedy=REMEDY
            ) from None

    def pairs(self, split: str) -> list[str]:
        """Names of the pairs whose queries of a split are here, in the order of the table."""
        table = self.query_table
        return list(dict.fromkeys(table.loc[table["split"] == split, "pair"]))

    def of(self, pair: str, split: str) -> tuple["pd.DataFrame", Vectors]:
        """The query rows of a pair and split, and their vectors [Q, 2, D]."""
        table = self.query_table
        chosen = table[(table["pair"] == pair) & (table["split"] == split)].reset_index(drop=True)
        return chosen, np.asarray(self.queries[chosen["row"].to_numpy()])


def _vectors(path: Path) -> Vectors:
    try:
        vectors: Vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (ValueError, OSError) as error:
        raise DataError(f"not a whole .npy file: {error}", where=path, remedy=REMEDY) from None
    return vectors


def _table(path: Path) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow as pa

    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a whole parquet file: {error}", where=path, remedy=REMEDY) from None
