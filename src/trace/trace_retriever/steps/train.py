"""Step `train`: start the workers, and collect what they leave."""

import shutil
from pathlib import Path

from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ValidationFailed
from trace_retriever.io.files import read_json, write_json
from trace_retriever.io.nodes import Nodes
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
    in the same bytes. On several machines, which share `work`, the first one writes; the others return no
    metrics.

    Raises:
        ValidationFailed: the data did not pass `trace validate`.
        TraceError: a training process failed.
    """
    _require_valid(validation)
    nodes = Nodes.from_environment()
    # Of several machines any may have the process that writes: it writes where all of them see it.
    model, curves = (out, report / "curves") if nodes.count == 1 else (work / "model", work / "curves")
    paths = {
        "dataset": dataset,
        "routes": routes,
        "kept": kept,
        "backbone": backbone,
        "out": model,
        "curves": curves,
        "work": work,
    }
    job = work / "job.json"
    write_json(
        job,
        {
            "config": config.model_dump(mode="json"),
            **{name: str(path.resolve()) for name, path in paths.items()},
        },
    )
    launch(WORKER, job, processes=config.processes, threads=config.threads)
    if not nodes.leads:
        return {}
    if nodes.count > 1:
        shutil.copytree(model, out, dirs_exist_ok=True)
        shutil.copytree(curves, report / "curves")
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
