"""The paper's tables, read from `experiments/paper/`."""

from pathlib import Path

import pandas as pd

from trace_retriever.errors import DataError
from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS

PAPER = Path("experiments/paper")
CIRR_QUERIES = 4_170  # the ablations' test set, exactly; the data card of M-BEIR rounds to 4,000
OWN = "TRACE"

PAIR_NAMES = [pair.name for pair in OFFICIAL_PAIRS]
QUERIES = {pair.name: size.test for pair, size in OFFICIAL_PAIRS.items()} | {"cirr_task7": CIRR_QUERIES}
"""Test queries of each pair, rounded as M-BEIR's data card rounds them (CIRR: exact)."""


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """One of the CSV files, as it stands.

    Raises:
        DataError: it is missing.
    """
    path = folder / f"{name}.csv"
    if not path.is_file():
        raise DataError("table not found", where=path, remedy="name the folder of the paper's tables")
    return pd.read_csv(path)


def read_recall(folder: Path) -> pd.DataFrame:
    """The main comparison as shares: index model, columns the 16 pairs in M-BEIR's order and `average`.

    Raises:
        DataError: a pair is missing.
    """
    table = read_table(folder, "mbeir_local").set_index("model")
    if missing := sorted(set(PAIR_NAMES) - set(table)):
        raise DataError(f"no column for {', '.join(missing)}", where=folder / "mbeir_local.csv")
    return table[[*PAIR_NAMES, "average"]] / 100


def read_ablation(folder: Path, table: str) -> pd.DataFrame:
    """One ablation on CIRR as shares: index variant, columns recall_1, recall_5, recall_10, chosen (bool)."""
    every = read_table(folder, "ablations")
    rows = every[every["table"] == table].set_index("variant")
    recall = rows[["recall_1", "recall_5", "recall_10"]] / 100
    return recall.assign(chosen=rows["chosen"].eq("yes"))


def read_modes(folder: Path) -> pd.DataFrame:
    """Throughput: index (dataset, mode), columns queries_per_second and recall_5 (share)."""
    table = read_table(folder, "efficiency").set_index(["dataset", "mode"])
    return table.assign(recall_5=table["recall_5"] / 100)


def figure(table: pd.DataFrame, row: object, column: str) -> float:
    """One figure of a table whose index holds `row` once."""
    found = table.loc[[row], column].to_numpy(dtype=float)
    if len(found) != 1:
        raise DataError(f"{len(found)} rows named {row!r}", remedy="give each row of a table its own name")
    return float(found[0])
