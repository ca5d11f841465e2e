"""The whole chain at toy size, run once for all tests that want something really trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.toy import PROFILE, TOY

from trace_retriever.config import load_section
from trace_retriever.runner import run_step
from trace_retriever.step import STEPS, Metrics


@dataclass(frozen=True)
class Story:
    """A directory in which the steps' default paths are filled."""

    root: Path

    def run(
        self, name: str, *overrides: str, inputs: Mapping[str, Path] | None = None, variant: str = ""
    ) -> Metrics:
        """Run a step on what the steps before it left; `variant` goes to places of its own."""
        step = STEPS[name]
        paths = {key: self.root / path for key, path in step.inputs.items()} | dict(inputs or {})
        return run_step(
            name,
            load_section(name, PROFILE, (*TOY, *overrides)),
            inputs=paths,
            out=self.root / f"{step.out}{variant}",
            report=self.root / f"{step.report}{variant}",
            work_root=self.root / ".trace",
        )

    def out(self, name: str, variant: str = "") -> Path:
        return self.root / f"{STEPS[name].out}{variant}"

    def report(self, name: str, variant: str = "") -> Path:
        return self.root / f"{STEPS[name].report}{variant}"

    def candidate(self, version: str, champion: Path) -> Path:
        """The trained model gated against a champion and packed under another version's number, once."""
        variant = f"-{version}"
        if (packed := self.out("register", variant)).exists():
            return packed
        self.run("gate", inputs={"champion": champion}, variant=variant)
        inputs = {"verdict": self.out("gate", variant), "curves": self.report("train") / "curves"}
        self.run("register", f"register.version={version}", inputs=inputs, variant=variant)
        return packed


def tell(root: Path) -> Story:
    """Run all steps, in the order of the table."""
    told = Story(root)
    for name in STEPS:
        curves = {"curves": told.report("train") / "curves"} if name == "register" else None
        told.run(name, inputs=curves)
    return told
