"""The ablations on CIRR: which variants differ from the published one by more than 4,170 queries can tell."""

import pandas as pd

from trace_retriever.replay.intervals import Difference
from trace_retriever.replay.tables import CIRR_QUERIES, figure

DEPTHS = (1, 5, 10)


def compare(rows: pd.DataFrame, first: str, second: str, k: int) -> Difference:
    """Two variants of one ablation (`tables.read_ablation`) at one k."""
    column = f"recall_{k}"
    name = f"{first} - {second}, R@{k}"
    return Difference(name, figure(rows, first, column), figure(rows, second, column), CIRR_QUERIES)


def against_chosen(rows: pd.DataFrame) -> list[Difference]:
    """The paper's own variant of an ablation minus each of the others, at each k."""
    chosen = str(rows.index[rows["chosen"]].item())
    others = [str(name) for name in rows.index[~rows["chosen"]]]
    return [compare(rows, chosen, other, k) for other in others for k in DEPTHS]
