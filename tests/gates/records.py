"""Made evaluations: per-query records of a few pairs with chosen hits, and the files beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trace_retriever.io.files import write_json

TRUE_ROUTES = {"mojicap_task0": "simple", "mojihop_task1": "complex", "mojiedit_task7": "complex"}
QUERIES = 200
FILES = {f"dataset/query/test/mbeir_{pair}_test.jsonl": f"sha256:{pair}" for pair in TRUE_ROUTES}


def records(system: str, rates: Mapping[str, float], *, shift: int = 0, **values: Any) -> pd.DataFrame:
    """Records of one system on local pools: the given share of each pair's queries hit, evenly spread.

    Args:
        system: its name.
        rates: pair → headline hit rate.
        shift: moves the hits to other queries.
        values: columns to set on all rows.
    """
    frames = []
    for pair, rate in rates.items():
        order = (np.arange(QUERIES) * 37 + shift) % QUERIES
        reasons = TRUE_ROUTES[pair] == "complex" and system not in ("never", "encoder")
        frame = pd.DataFrame(
            {"qid": [f"1:{number}" for number in range(QUERIES)], "headline": order < rate * QUERIES}
        )
        frame["system"], frame["pool"], frame["pair"] = system, "local", pair
        frame["route"] = "complex" if reasons else "simple"
        frame["trace_tokens"] = 12 if reasons else 0
        frame["truncated"] = False
        frames.append(frame.assign(**values))
    return pd.concat(frames, ignore_index=True)


def write_evaluation(
    folder: Path, *frames: pd.DataFrame, model: str | None = None, budget: dict[str, Any] | None = None
) -> Path:
    """Write `queries.parquet` and `results.json`; returns the folder."""
    folder.mkdir(parents=True)
    table = pd.concat(frames, ignore_index=True)
    table.to_parquet(folder / "queries.parquet")
    pairs = {str(pair): {"true_route": TRUE_ROUTES[str(pair)]} for pair in table["pair"].unique()}
    about = {"pairs": pairs, "embeddings": {"trace": {"model": model}}, "budget": budget}
    write_json(folder / "results.json", about)
    return folder


def write_validation(folder: Path, *, success: bool = True) -> Path:
    """Write a `validation.json`; returns the folder."""
    folder.mkdir(parents=True)
    failed = [] if success else ["queries.id_form"]
    write_json(folder / "validation.json", {"success": success, "failed": failed, "files": FILES})
    return folder
