"""The table of routes, `routes.parquet`: one writer (step `route`), one reader for all others."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from trace_retriever.config.route import Strategy
from trace_retriever.errors import DataError
from trace_retriever.mbeir.ids import query_id
from trace_retriever.traces.examples import Example, homes_of, numbers_of
from trace_retriever.traces.judgements import ROUTES, Judgements
from trace_retriever.traces.routing import Labels

STRATEGIES: tuple[Strategy, ...] = ("dataset", "judge", "utility")
COLUMNS = (
    "qid",
    "pair",
    "split",
    "route",
    "strategy",
    "confidence",
    "dataset_route",
    "judge_route",
    "utility_route",
)


def routes_table(
    examples: Sequence[Example], labels: Mapping[Strategy, Labels], chosen: Strategy
) -> pd.DataFrame:
    """One row a query, in the order of the examples.

    Columns: qid, pair, split; route ("simple" or "complex"), confidence (0 to 1) and the strategy that they
        come from: the
    chosen one, or `dataset` for a query that it could not label; and each strategy's own route, null where it
    has none.
    """
    numbers, homes = numbers_of(examples), list(homes_of(examples))
    columns = {name: Judgements.of(found.judgements).at(numbers) for name, found in labels.items()}
    routes_N, confidences_N = columns[chosen]
    fallback_N, sure_N = Judgements.by_dataset(examples).at(numbers)
    own = routes_N >= 0
    words = np.array([*ROUTES, None], dtype=object)  # the last is at place -1
    table = {
        "qid": np.array([query_id(number) for number in numbers.tolist()], dtype=object),
        "pair": np.array([pair.name for pair, _ in homes], dtype=object),
        "split": np.array([split for _, split in homes], dtype=object),
        "route": words[np.where(own, routes_N, fallback_N)],
        "strategy": np.where(own, np.array(chosen, dtype=object), np.array("dataset", dtype=object)),
        "confidence": np.where(own, confidences_N, sure_N),
    }
    nothing = np.full(len(numbers), None, dtype=object)
    for name in STRATEGIES:
        table[f"{name}_route"] = words[columns[name][0]] if name in columns else nothing
    return pd.DataFrame(table, columns=list(COLUMNS))


def write_routes(path: Path, table: pd.DataFrame) -> None:
    """Write the table; all columns are strings but `confidence`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.float64() if name == "confidence" else pa.string()) for name in COLUMNS])
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), path)


def read_routes(directory: Path) -> pd.DataFrame:
    """Read `routes.parquet` of a directory that step `route` made.

    Raises:
        DataError: the file is missing or broken, a column is missing, a route is unknown or a qid is there
            twice.
    """
    path = directory / "routes.parquet"
    remedy = "run `trace route` again"
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError("file not found", where=path, remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise DataError(f"not a parquet file: {error}", where=path, remedy=remedy) from None
    if missing := sorted(set(COLUMNS) - set(table.columns)):
        raise DataError(f"columns are missing: {', '.join(missing)}", where=path, remedy=remedy)
    if (
        unknown := sorted(set(table["route"].dropna().unique()) - {"simple", "complex"})
        or table["route"].isna().any()
    ):
        raise DataError(f"a route is simple or complex (got {unknown or 'null'})", where=path, remedy=remedy)
    if table["qid"].duplicated().any():
        qid = table["qid"][table["qid"].duplicated()].iloc[0]
        raise DataError(f"qid {qid!r} is there twice", where=path, remedy=remedy)
    return table
