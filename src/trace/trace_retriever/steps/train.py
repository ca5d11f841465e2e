"""Step `train`: start the workers, and collect what they leave."""

from pathlib import Path

from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ValidationFailed
from trace_retriever.io.files import read_json, write_json
from trace_retriever.step import Metrics
from trace_retriever.training.launch import launch

WORKER = "trace_retriever.training.worker"


def train(
    config: TrainConfig,
    *,
    dataset: Path,
    routes: Path,
    kept: Path,
    validation: Path,
    backbone: Path,
    out: Path,
    report: Path,
    work: Path,
) -> Metrics:
    """Train TRACE, or the encoder-only baseline, from the backbone.

    Writes the model directory to `out` and curves to `report`. A killed run continues from `work`, and ends
    in the same bytes.

    Raises:
        ValidationFailed: the data did not pass `trace validate`.
        TraceError: a training process failed.
    """
    _require_valid(validation)
    paths = {
        "dataset": dataset,
        "routes": routes,
        "kept": kept,
        "backbone": backbone,
        "out": out,
        "work": work,
    }
    job = work / "job.json"
    write_json(
        job,
        {
            "config": config.model_dump(mode="json"),
            "curves": str((report / "curves").resolve()),
            **{name: str(path.resolve()) for name, path in paths.items()},
        },
    )
    launch(WORKER, job, processes=config.processes, threads=config.threads)
    metrics: Metrics = read_json(work / "result.json")
    return metrics


def _require_valid(validation: Path) -> None:
    verdict = read_json(validation / "validation.json")
    if not verdict.get("success"):
        failed = [suite.get("name") for suite in verdict.get("suites", []) if not suite.get("success")]
        raise ValidationFailed(
            f"the data did not pass validation: {', '.join(map(str, failed)) or 'see its report'}",
            metrics={},
            where=validation / "validation.json",
            remedy="correct the data and run `trace validate` again",
        )
