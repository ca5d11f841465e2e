"""What routing rates predict for adaptive throughput, and what measured throughput says of the rates.

If a query costs 1/direct seconds when embedded at once and 1/always with a trace, a server that lets a share
s reason answers 1/((1 - s)/direct + s/always) queries a second: the harmonic mix.
"""

from dataclasses import dataclass

import pandas as pd

from trace_retriever.replay.tables import figure

MODES = ("direct", "always", "adaptive")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One data set's modes.

    Attributes:
        direct, always, adaptive: measured queries a second.
        share: of queries that reason when the model chooses.
    """

    direct: float
    always: float
    adaptive: float
    share: float

    @property
    def predicted(self) -> float:
        """Adaptive queries a second that the share predicts."""
        return harmonic(self.direct, self.always, self.share)

    @property
    def ratio(self) -> float:
        """Measured over predicted: 1 where routing costs nothing and wins what it should."""
        return self.adaptive / self.predicted

    @property
    def implied_share(self) -> float:
        """The share of reasoning queries that would explain the measured adaptive figure."""
        slow, fast = 1 / self.always, 1 / self.direct
        return (1 / self.adaptive - fast) / (slow - fast)

    def predicted_range(self, rounding: float = 0.005) -> tuple[float, float]:
        """The prediction at both ends of a share that was rounded to a percent."""
        ends = (self.share + rounding, max(0.0, self.share - rounding))
        low, high = (harmonic(self.direct, self.always, share) for share in ends)
        return low, high


def harmonic(direct: float, always: float, share: float) -> float:
    """Queries a second when a share of them reasons; see the module."""
    return 1 / ((1 - share) / direct + share / always)


def read_mix(modes: pd.DataFrame, routing: pd.DataFrame, dataset: str) -> Mix:
    """A data set's mix from the tables `efficiency` and `routing`."""
    speeds = {mode: figure(modes, (dataset, mode), "queries_per_second") for mode in MODES}
    percent = figure(routing.set_index("dataset"), dataset, "reasoning_percent")
    return Mix(**speeds, share=percent / 100)


def needed_turns(direct: float, adaptive: float, share: float) -> float:
    """Least share of the reasoning queries that a trace must turn from miss to hit, for adaptive's recall.

    Queries that do not reason get direct's vector; so adaptive - direct <= share x turned.
    """
    return (adaptive - direct) / share
