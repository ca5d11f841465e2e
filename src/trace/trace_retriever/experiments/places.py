"""Where the study's inputs, its work and its results lie."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Places:
    """Paths of a study.

    Attributes:
        chain: the checkout whose `dvc repro` made data set, routes, traces, validation and backbone.
        work: what is made on the way; may be removed afterwards.
        results: what is kept.
    """

    chain: Path
    work: Path
    results: Path

    @property
    def dataset(self) -> Path:
        """The part of the chain's data set that the study uses, and transfer pairs beside it."""
        return self.work / "data"

    @property
    def backbone_data(self) -> Path:
        """The chain's data set."""
        return self.chain / "data/mbeir"

    def routes(self, traces: str) -> Path:
        """Routes, by the name of traces."""
        return self.chain / "data/routes" if traces == "chain" else self.work / "traces" / traces / "routes"

    def kept(self, traces: str) -> Path:
        """Kept traces of the study's queries, and what their candidates could write."""
        return self.work / "traces" / traces / "kept"

    @property
    def validation(self) -> Path:
        """The chain's verdict on its data."""
        return self.chain / "data/validation"

    def backbone(self, name: str) -> Path:
        """A backbone."""
        return self.chain / "models/backbone" if name == "chain" else self.work / "backbones" / name

    def model(self, variant: str, seed: int) -> Path:
        """A trained variant."""
        return self.work / "models" / f"{variant}-{seed}"
