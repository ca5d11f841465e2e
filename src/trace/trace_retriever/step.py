"""The table of steps, and the one way to run any of them: from the command line, from DVC, from Kubeflow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Metrics = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the chain: its name is also the CLI verb, the DVC stage, the params section and the module.

    Its function is `trace_retriever.steps.<name>.<name>(config, *, <inputs>, out, report, work) -> Metrics`.
    It fills the directories `out` (what later steps read) and `report` (what people read); both start empty
    and are put in place together when it returns. `work` outlives a kill and is removed after success.

    Attributes:
        inputs: argument name → default path.
        optional: inputs that may be absent (the function then gets None).
        out: default path of the output directory.
    """

    name: str
    summary: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str | None] = field(default_factory=dict)
    out: str

    @property
    def report(self) -> str:
        """Default path of the report directory."""
        return f"results/{self.name}"

    def function(self) -> Callable[..., Metrics]:
        """Import and return the step's function."""
        found: Callable[..., Metrics] = getattr(
            import_module(f"trace_retriever.steps.{self.name}"), self.name
        )
        return found


STEPS = {
    step.name: step
    for step in (
        Step(
            name="prepare",
            summary="Lay out an M-BEIR data set: link an existing one, or make the OpenMoji benchmark.",
            out="data/mbeir",
        ),
        Step(
            name="backbone",
            summary="Check the model that TRACE starts from, or give a tiny one eyes and words.",
            inputs={"dataset": "data/mbeir"},
            out="models/backbone",
        ),
        Step(
            name="route",
            summary="Label each training query simple or complex.",
            inputs={"dataset": "data/mbeir"},
            optional={"backbone": "models/backbone"},
            out="data/routes",
        ),
        Step(
            name="synthesize",
            summary="Let a teacher write a reasoning trace for each complex query.",
            inputs={"dataset": "data/mbeir", "routes": "data/routes"},
            out="data/traces",
        ),
        Step(
            name="filter",
            summary="Keep the traces that pass the rules and the verifier; say why the others were dropped.",
            inputs={"dataset": "data/mbeir", "traces": "data/traces"},
            optional={"backbone": "models/backbone"},
            out="data/kept",
        ),
        Step(
            name="validate",
            summary="Check queries, candidates, qrels, traces and their joins with Great Expectations.",
            inputs={"dataset": "data/mbeir", "routes": "data/routes", "kept": "data/kept"},
            optional={"previous": None},
            out="data/validation",
        ),
        Step(
            name="train",
            summary="Train TRACE (or the encoder-only baseline) with DeepSpeed.",
            inputs={
                "dataset": "data/mbeir",
                "routes": "data/routes",
                "kept": "data/kept",
                "validation": "data/validation",
                "backbone": "models/backbone",
            },
            out="models/trace",
        ),
        Step(
            name="embed",
            summary="Encode the candidate pools and the queries.",
            inputs={"dataset": "data/mbeir", "model": "models/trace"},
            optional={"previous": None},
            out="embeddings/trace",
        ),
        Step(
            name="evaluate",
            summary="Search exactly and score the M-BEIR metrics, with intervals, per pair.",
            inputs={"dataset": "data/mbeir", "embeddings": "embeddings/trace"},
            optional={"baseline": "embeddings/encoder"},
            out="evaluation",
        ),
        Step(
            name="gate",
            summary="Hold the model against its thresholds and the champion; refuse or pass.",
            inputs={"evaluation": "evaluation", "validation": "data/validation"},
            optional={"champion": None},
            out="verdict",
        ),
        Step(
            name="register",
            summary="Pack the model, its card and its evidence as a versioned artifact.",
            inputs={
                "model": "models/trace",
                "evaluation": "evaluation",
                "verdict": "verdict",
                "validation": "data/validation",
            },
            optional={"curves": "results/train/trace/curves"},
            out="models/registered",
        ),
    )
}
