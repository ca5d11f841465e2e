"""The vectors that `embed` leaves behind, with what belongs to each row."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.files import read_json
from trace_retriever.mbeir.ids import candidate_id, candidate_number
from trace_retriever.mbeir.records import Modality
from trace_retriever.store.matrix import Vectors
from trace_retriever.store.shards import REMEDY, ShardedMatrix, table_name

if TYPE_CHECKING:
    import pandas as pd

ABOUT = "embed.json"
MODALITIES = tuple(modality.value for modality in Modality)


@dataclass(frozen=True)
class Embeddings:
    """An embeddings directory: vectors stay on disk, of candidates' tables did and modality are in memory.

    Attributes:
        directory: where it lies.
        candidates: a matrix [C, D], one row a candidate, by ascending did.
        numbers: int64 [C], each row's did as M-BEIR's integer.
        kinds: int8 [C], the place of each row's modality in `MODALITIES`.
        queries: a matrix [Q, 2, D]: the direct and the reasoned vector.
        query_table: one row a query: qid, pair, split, row, p_emb, auto_route, trace, ...
        about: `embed.json`.
    """

    directory: Path
    candidates: ShardedMatrix
    numbers: NDArray[np.int64]
    kinds: NDArray[np.int8]
    queries: ShardedMatrix
    query_table: "pd.DataFrame"
    about: dict[str, Any]

    @classmethod
    def load(cls, directory: Path) -> "Embeddings":
        """Open a directory that `embed` wrote.

        Raises:
            DataError: a file is missing or unreadable, tables and vectors do not fit together, or this is one
                part of several.
        """
        about = read_json(directory / ABOUT)
        candidates = ShardedMatrix.open(directory / "candidates")
        queries = ShardedMatrix.open(directory / "queries")
        table = read_table(candidates, ("did", "modality"))
        asked = read_table(queries).drop(["key"]).to_pandas()
        asked.insert(0, "row", np.arange(len(asked)))
        for matrix, rows in ((candidates, table.num_rows), (queries, len(asked))):
            if rows != len(matrix) or matrix.shape[-1] != about.get("dim"):
                problem = (
                    f"vectors of shape {matrix.shape}, a table of {rows} rows, {about.get('dim')} dimensions"
                )
                raise DataError(problem, where=matrix.directory, remedy=REMEDY)
        dids = (did for chunk in table["did"].iterchunks() for did in chunk.to_pylist())
        numbers = np.fromiter(map(candidate_number, dids), np.int64, table.num_rows)
        if (np.diff(numbers) <= 0).any():
            raise DataError("rows are not by ascending did", where=candidates.directory, remedy=REMEDY)
        return cls(directory, candidates, numbers, _kinds(table, candidates.directory), queries, asked, about)

    def verify(self) -> None:
        """Compare each file with the digest that was taken when it was written.

        Raises:
            DataError: a file is missing or was altered.
        """
        self.candidates.verify()
        self.queries.verify()

    @cached_property
    def candidate_table(self) -> "pd.DataFrame":
        """Did, modality, text and img_path of all candidates, in memory: for pools that are not large."""
        columns = ("did", "modality", "text", "img_path")
        frame: pd.DataFrame = read_table(self.candidates, columns).to_pandas()
        return frame

    def candidate(self, did: str) -> dict[str, Any] | None:
        """A candidate's row of the tables, or None where it was not embedded."""
        number = candidate_number(did)
        row = int(np.searchsorted(self.numbers, number))
        if row == len(self.numbers) or self.numbers[row] != number:
            return None
        shard, place = divmod(row, self.candidates.manifest.shard_rows)
        table = read_parquet(self.candidates.directory / table_name(shard))
        (found,) = table.slice(place, 1).to_pylist()
        return dict(found)

    def rows(self, dids: Iterable[str]) -> NDArray[np.int64]:
        """Rows of some candidates, ascending (which is ascending by did).

        Raises:
            DataError: one of them was not embedded.
        """
        asked = np.sort(np.fromiter(map(candidate_number, dids), np.int64))
        rows = np.searchsorted(self.numbers, asked)
        known = rows < len(self.numbers)
        known[known] = self.numbers[rows[known]] == asked[known]
        if not known.all():
            did = candidate_id(int(asked[~known][0]))
            raise DataError(f"candidate {did} was not embedded", where=self.directory, remedy=REMEDY)
        return rows.astype(np.int64)

    def pairs(self, split: str) -> list[str]:
        """Names of the pairs whose queries of a split are here, in the order of the table."""
        table = self.query_table
        return list(dict.fromkeys(table.loc[table["split"] == split, "pair"]))

    def of(self, pair: str, split: str) -> tuple["pd.DataFrame", Vectors]:
        """The query rows of a pair and split, and their vectors, float32 [Q, 2, D]."""
        table = self.query_table
        chosen = table[(table["pair"] == pair) & (table["split"] == split)].reset_index(drop=True)
        return chosen, self.queries[chosen["row"].to_numpy()].astype(np.float32)


def _kinds(table: Any, directory: Path) -> NDArray[np.int8]:
    """The place of each row's modality in `MODALITIES`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(table["modality"], value_set=pa.array(MODALITIES))
    if found.null_count:
        raise DataError("a candidate of unknown modality", where=directory, remedy=REMEDY)
    kinds: NDArray[np.int8] = found.to_numpy().astype(np.int8)
    return kinds


def read_table(matrix: ShardedMatrix, columns: Sequence[str] | None = None) -> Any:
    """The tables of the shards that are here, one after another, as a pyarrow table.

    Raises:
        DataError: one is missing, unreadable, or of another length than its shard.
    """
    import pyarrow as pa

    tables = []
    for shard in matrix.offsets:
        path = matrix.directory / table_name(shard)
        tables.append(read_parquet(path, columns))
        if tables[-1].num_rows != len(matrix.manifest.rows(shard)):
            problem = f"a table of {tables[-1].num_rows} rows for {len(matrix.manifest.rows(shard))} vectors"
            raise DataError(problem, where=path, remedy=REMEDY)
    return pa.concat_tables(tables)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A parquet file as a pyarrow table, or some columns of it.

    Raises:
        DataError: it is missing or is not whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=None if columns is None else list(columns))
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=REMEDY) from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a whole parquet file: {error}", where=path, remedy=REMEDY) from None
