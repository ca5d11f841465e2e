"""Figures over several training seeds: which queries each seed's systems found, small enough to commit."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.evaluation.significance import Interval, hierarchical_interval
from trace_retriever.io.files import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

MEASURES = ("headline", "hit_1")


def add_seed(path: Path, seed: int, queries: "pd.DataFrame") -> None:
    """Add (or replace) one seed's local-pool hits in a seeds file.

    The file holds `queries[pair]`, the qids in order, and `seeds[seed][system][pair][measure]`, a string of
    0 and 1 in the same order.

    Args:
        path: the file; made when absent.
        seed: the training seed.
        queries: `evaluation/queries.parquet` of the run with that seed.

    Raises:
        DataError: the seed was scored on other queries than the ones before it.
    """
    content = read_json(path) if path.exists() else {"queries": {}, "seeds": {}}
    systems: dict[str, Any] = {}
    local = queries[queries["pool"] == "local"]
    for (system, pair), rows in local.groupby(["system", "pair"], sort=True):
        rows = rows.sort_values("qid")
        qids = " ".join(rows["qid"])
        if content["queries"].setdefault(str(pair), qids) != qids:
            raise DataError(f"seed {seed} has other queries of {pair} than the seeds before", where=path)
        systems.setdefault(str(system), {})[str(pair)] = {
            measure: "".join("1" if hit else "0" for hit in rows[measure]) for measure in MEASURES
        }
    content["seeds"][str(seed)] = systems
    write_json(path, content)


def read_seeds(path: Path) -> dict[int, Any]:
    """The `seeds` of a seeds file, by seed.

    Raises:
        DataError: the file is missing or is not a seeds file.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("seeds"), dict) or not content["seeds"]:
        raise DataError("not a seeds file: it has no 'seeds'", where=path)
    return {int(seed): content["seeds"][seed] for seed in sorted(content["seeds"], key=int)}


def hits_of(seeds: dict[int, Any], system: str, pair: str, measure: str) -> NDArray[np.float64]:
    """What each seed found of a pair's queries, 0 or 1, [S, Q]."""
    return np.array([[float(c) for c in systems[system][pair][measure]] for systems in seeds.values()])


def systems_of(seeds: dict[int, Any]) -> dict[str, list[str]]:
    """The systems that all seeds have, each with the pairs that all seeds have of it."""
    first, *others = seeds.values()
    return {
        system: [pair for pair in pairs if all(pair in other[system] for other in others)]
        for system, pairs in first.items()
        if all(system in other for other in others)
    }


def over_seeds(
    seeds: dict[int, Any],
    pairs: list[str],
    ours: str,
    theirs: str | None = None,
    *,
    measure: str,
    resamples: int,
    seed: int,
) -> Interval:
    """Mean over pairs of a system's figure, or of its difference to another system's.

    The interval is over training seeds and queries (`significance.hierarchical_means`).
    """
    groups = [hits_of(seeds, ours, pair, measure) for pair in pairs]
    if theirs is not None:
        others = [hits_of(seeds, theirs, pair, measure) for pair in pairs]
        groups = [mine - other for mine, other in zip(groups, others, strict=True)]
    return hierarchical_interval(groups, resamples=resamples, seed=seed)
