"""What the units found, read back: hits of a variant used in some way, by pair, seed and query."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.errors import DataError
from trace_retriever.experiments.study import Study
from trace_retriever.experiments.units import units
from trace_retriever.io.files import read_json
from trace_retriever.mbeir.pairs import Pair

if TYPE_CHECKING:
    import pandas as pd

Groups = list[NDArray[np.float64]]  # for each pair: [S, Q], one row a seed, one column a query


@dataclass(frozen=True)
class Tables:
    """The tables of a study's units, those that are there.

    Args:
        study: the definition.
        results: the directory that holds `runs/`.
    """

    study: Study
    results: Path
    _read: dict[str, "pd.DataFrame"] = field(default_factory=dict, repr=False)

    @cached_property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds that each variant and probe was run with."""
        found: dict[str, list[int]] = {}
        for unit in units(self.study):
            if unit.seed and unit.table(self.results).is_file():
                found.setdefault(unit.name, []).append(unit.seed)
        return found

    @cached_property
    def complex_pairs(self) -> list[str]:
        """The trained pairs whose queries are complex."""
        return [name for name in self.study.data.train_pairs if Pair.parse(name).is_complex]

    @cached_property
    def simple_pairs(self) -> list[str]:
        """The other trained pairs."""
        return [name for name in self.study.data.train_pairs if name not in self.complex_pairs]

    def read(self, name: str, seed: int) -> "pd.DataFrame":
        """One unit's table.

        Raises:
            DataError: the unit was not run.
        """
        import pandas as pd

        path = self.results / "runs" / f"{name}-{seed}.parquet"
        if not path.is_file():
            raise DataError("not run yet", where=path, remedy="run `python experiments/run.py`")
        if (key := path.stem) not in self._read:
            self._read[key] = pd.read_parquet(path).sort_values(["pair", "qid"], kind="stable")
        return self._read[key]

    def about(self, name: str, seed: int) -> dict[str, Any]:
        """How a unit's table came about: definition, params, commit, machine, seconds."""
        found: dict[str, Any] = read_json(self.results / "runs" / f"{name}-{seed}.json")
        return found

    def shared(self, *names: str) -> list[int]:
        """The seeds that all of these were run with."""
        return sorted(set.intersection(*(set(self.seeds.get(name, [])) for name in names)))

    def hits(
        self, name: str, pairs: Sequence[str], *, k: int, system: str = "auto", seeds: Sequence[int]
    ) -> Groups:
        """Whether each query's target is among the first k, [S, Q] a pair."""
        return self.values(name, pairs, seeds, lambda rows: rank_of(rows, system) <= k)

    def values(self, name: str, pairs: Sequence[str], seeds: Sequence[int], value: Any) -> Groups:
        """Any figure of each query: `value(rows)` of a pair's rows, [S, Q] a pair."""
        tables = [self.read(name, seed) for seed in seeds]
        return [
            np.array([np.asarray(value(table[table["pair"] == pair]), np.float64) for table in tables])
            for pair in pairs
        ]


def rank_of(rows: "pd.DataFrame", system: str) -> "pd.Series[int]":
    """The target's rank when the model is used in a way: `auto` follows its own route, `oracle` "
    "the true one."""
    reasoning = {
        "auto": rows["reasons"],
        "never": rows["reasons"] & False,
        "always": rows["reasons"] | True,
        "oracle": rows["complex"],
    }[system]
    return rows["rank_reasoned"].where(reasoning, rows["rank_direct"])
