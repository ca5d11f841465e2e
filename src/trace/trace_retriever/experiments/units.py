"""What there is to run: units of work, what each needs first, and where its table goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trace_retriever.experiments.study import CHAIN, Study

Kind = Literal["train", "backbone", "traces", "wording", "counterfactual", "candidates", "two-stage"]
PROBES: dict[Kind, tuple[str, ...]] = {
    "wording": ("trace", "encoder"),
    "counterfactual": ("trace",),
    "candidates": ("trace",),
    "two-stage": ("trace", "encoder", "encoder-on-traces"),
}


@dataclass(frozen=True)
class Unit:
    """One piece of work.

    Attributes:
        kind: what is done; `train` trains and measures a variant, the probes look at trained ones.
        name: of the variant, backbone or traces; of a probe, its kind.
        seed: training seed; 0 where there is none.
        needs: names of the units that come first.
    """

    kind: Kind
    name: str
    seed: int
    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name among all."""
        return f"{self.name}-{self.seed}" if self.seed else self.name

    def table(self, results: Path) -> Path:
        """Where what it found goes."""
        return results / "runs" / f"{self.key}.parquet"


def units(study: Study) -> list[Unit]:
    """All units, by seed: so that a study which is stopped half-way has something of every variant."""
    first = [Unit("traces", f"traces-{name}", 0) for name in study.traces]
    first += [Unit("backbone", f"backbone-{name}", 0) for name in study.backbones]
    most = max(variant.seeds for variant in study.variants.values())
    return first + [unit for seed in range(1, most + 1) for unit in _of_seed(study, seed)]


def _of_seed(study: Study, seed: int) -> Iterator[Unit]:
    made = {name for name, variant in study.variants.items() if variant.seeds >= seed}
    for name, variant in study.variants.items():
        if name in made:
            needs = [
                f"{kind}-{wanted}"
                for kind, wanted in (("traces", variant.traces), ("backbone", variant.backbone))
                if wanted != CHAIN
            ]
            yield Unit("train", name, seed, tuple(needs))
    for kind, looked_at in PROBES.items():
        if made.issuperset(looked_at):
            yield Unit(kind, kind, seed, tuple(f"{name}-{seed}" for name in looked_at))
