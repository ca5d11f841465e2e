"""M-BEIR's table: is a mean the mean, who is ahead where, and by more than the test sets' size would give?"""

from dataclasses import dataclass

import pandas as pd

from trace_retriever.gates.paired import holm
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.replay.intervals import Difference, MeanDifference
from trace_retriever.replay.tables import PAIR_NAMES, QUERIES, figure

ROUNDING = 0.0005 + 1e-9  # half of the last digit that is published, as a share


@dataclass(frozen=True)
class Versus:
    """One model against another, pair by pair.

    Attributes:
        ours, theirs: the models.
        parts: the differences, in the order of M-BEIR's table.
    """

    ours: str
    theirs: str
    parts: tuple[Difference, ...]

    @property
    def mean(self) -> MeanDifference:
        """Over all pairs."""
        return MeanDifference(self.parts)

    @property
    def wins(self) -> list[str]:
        """Pairs on which the first is ahead."""
        return [part.name for part in self.parts if part.value > 0]

    @property
    def losses(self) -> list[str]:
        """Pairs on which it is behind."""
        return [part.name for part in self.parts if part.value < 0]

    @property
    def clear(self) -> list[str]:
        """Pairs whose difference remains at 5 % after Holm's correction over all of them."""
        adjusted = holm({part.name: part.p_value for part in self.parts})
        return [part.name for part in self.parts if adjusted[part.name] < 0.05]

    def gains(self, *, reasons: bool) -> list[float]:
        """Differences on the pairs whose training queries have traces, or on the others."""
        return [part.value for part in self.parts if Pair.parse(part.name).is_complex is reasons]


def versus(recall: pd.DataFrame, ours: str, theirs: str) -> Versus:
    """Compare two models of `tables.read_recall`."""
    parts = [
        Difference(pair, figure(recall, ours, pair), figure(recall, theirs, pair), QUERIES[pair])
        for pair in PAIR_NAMES
    ]
    return Versus(ours, theirs, tuple(parts))


def wrong_means(recall: pd.DataFrame) -> list[str]:
    """Models whose published mean is not that of their figures, by more than rounding explains.

    Each figure is rounded, and the mean again.
    """
    gap = (recall[PAIR_NAMES].mean(axis=1) - recall["average"]).abs()
    return [str(name) for name in gap.index[gap > 2 * ROUNDING]]
