"""What the steps have made of a data set, as tables: labels of queries, and kept traces."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.io.progress import progress
from trace_retriever.validation.keys import Lookup, joined, keys_of
from trace_retriever.validation.shapes import TraceShape, read_shapes
from trace_retriever.validation.spool import Spool, write_rows

COLUMNS = ["qid", "pair", "split", "route", "strategy", "confidence"]
TRACES = pa.schema(
    {
        "line": pa.int64(),
        "qid": pa.string(),
        "pair": pa.string(),
        "problem": pa.string(),
        "reasoning_words": pa.int64(),
        "answer_words": pa.int64(),
        "confidence": pa.float64(),
    }
)


class Labels:
    """One row a labelled query: qid, pair, split, route, strategy, confidence.

    Args:
        folder: what step `route` wrote.

    Raises:
        DataError: the file is missing, is not Parquet, or lacks a column.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "routes.parquet"
        if not path.is_file():
            raise DataError("routes not found", where=path, remedy="run `trace route`")
        self.spool = Spool(folder, [path.stem], {})
        self._lookups: dict[tuple[str, ...], Lookup] = {}
        try:
            if missing := set(COLUMNS) - set(pq.read_schema(path).names):
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            for _ in self.parts():  # what is broken further on is found here
                pass
        except (OSError, ValueError) as error:
            remedy = f"run `trace route` again; it writes the columns {', '.join(COLUMNS)}"
            raise DataError(f"cannot read the routes: {error}", where=path, remedy=remedy) from None

    def parts(self) -> Iterator[pd.DataFrame]:
        """All rows in parts."""
        return self.spool.parts(COLUMNS)

    def by_home(self) -> Iterator[pd.DataFrame]:
        """split, pair and qid of one pair and split after another."""
        homes = self.spool.frame(["split", "pair"]).drop_duplicates()
        for split, pair in homes.itertuples(index=False, name=None):
            found = [
                part[(part["split"] == split) & (part["pair"] == pair)]
                for part in self.spool.parts(["split", "pair", "qid"])
            ]
            yield pd.concat(found, ignore_index=True)

    @cached_property
    def _routes(self) -> tuple[NDArray[np.int64], NDArray[Any]]:
        routes = self.spool.frame(["route"])["route"]
        codes = routes.cat.codes.to_numpy().astype(np.int64)
        return codes, np.array([*routes.cat.categories, None], dtype=object)

    def of(self, frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[Any]:
        """The route that is the first label to agree with each row in some columns; None where none does."""
        chosen = tuple(columns)
        if chosen not in self._lookups:
            keys = joined(keys_of(part, columns) for part in self.spool.parts(columns))
            self._lookups[chosen] = Lookup(keys)
        rows = self._lookups[chosen].rows(keys_of(frame, columns))
        codes, routes = self._routes
        found: NDArray[Any] = routes[np.append(codes, -1)[rows]]  # row -1 is the last: no label
        return found


def trace_table(kept: Path, work: Path) -> Spool:
    """One row a kept trace: line, qid, pair, problem, reasoning_words, answer_words, confidence."""
    rows = progress(_trace_rows(kept / "kept.jsonl"), "reading kept traces", unit="trace")
    write_rows(work / "kept.parquet", TRACES, rows)
    return Spool(work, ["kept"], {})


def _trace_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    for line, raw, problem in read_shapes(path, TraceShape):
        words: tuple[Any, ...] = (None, None, None)
        if problem is None:
            words = (len(raw["reasoning"].split()), len(raw["answer"].split()), raw.get("confidence"))
        yield (line, str(raw.get("qid")), str(raw.get("pair")), problem, *words)
