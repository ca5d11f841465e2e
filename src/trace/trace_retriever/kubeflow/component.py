"""What every component's body calls: a step run on artifacts, figures and pages where KFP shows them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from trace_retriever.config import Section
from trace_retriever.errors import DataError, Refused
from trace_retriever.io.files import read_json
from trace_retriever.io.links import link_or_copy
from trace_retriever.kubeflow.arguments import section_of
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import Entry, noted
from trace_retriever.kubeflow.multi_node import cluster_of
from trace_retriever.kubeflow.remote import is_absent, push_output
from trace_retriever.runner import WORK_ROOT, run_step
from trace_retriever.step import Metrics

WORK = "TRACE_WORK"
# The page that a step leaves for people, within its report; of a training step, its curves.
PAGES = {
    "prepare": "summary.md",
    "route": "report.html",
    "synthesize": "report.html",
    "filter": "report.html",
    "validate": "validation.html",
    "embed": "report.html",
    "evaluate": "report.html",
    "gate": "gate.html",
    "register": "MODEL_CARD.md",
}

Given = Artifact | Sequence[Artifact] | None


def run_component(
    step: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Given],
    outputs: Mapping[str, Artifact],
    **fields: str,
) -> None:
    """Run a step as a component: the same call as the command line's and DVC's, with artifacts for paths.

    A step that refuses (a gate, a validation) has done its work: its outputs are kept and the component ends
    well, since KFP drops the outputs of a failed task and the report is what a person wants then. The step
    after it reads the verdict and fails.

    Args:
        step: which.
        config: the params section, as the pipeline passed it.
        inputs: argument name → artifact; several parts of embeddings as a list; None where not given.
        outputs: `out` and `report` (directories), `metrics`, and `page`.
        fields: single keys of the section, given beside it; an empty string leaves the section's own.

    Raises:
        TraceError: whatever the step raises, but a refusal.
    """
    with noted(step, _apart(step, inputs, fields)) as entry, ExitStack() as stack:
        section = section_of(step, config, fields)
        entry.config, entry.place = section.model_dump(mode="json"), outputs["out"].uri
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-")))
        report = Path(outputs["report"].path)
        try:
            entry.metrics = _run(step, section, _paths(inputs, scratch), outputs["out"], report)
        except Refused as refusal:
            entry.state, entry.problem, entry.metrics = "refused", str(refusal), refusal.metrics
            print(f"{step} refuses: {refusal}", file=sys.stderr)
        _publish(step, report, outputs, entry)
        entry.outputs = {"out": read_json(report / "manifest.json")["output"]}
        outputs["out"].metadata["digest"] = entry.outputs["out"]
        if pushed := push_output(Path(outputs["out"].path)):
            entry.outputs["dvc"] = outputs["out"].metadata["dvc"] = pushed


def _apart(step: str, inputs: Mapping[str, Given], fields: Mapping[str, str]) -> dict[str, str]:
    """What sets a task apart from others of its step: its fields, and whose vectors it makes."""
    found = {key: value for key, value in fields.items() if value}
    model = inputs.get("model")
    if step == "embed" and model is not None and not isinstance(model, Sequence):
        with suppress(DataError, KeyError, TypeError):  # the step itself says what is wrong with its model
            found = {"model": str(read_json(Path(model.path) / "trace.json")["kind"]), **found}
    return found


def _run(step: str, section: Section, paths: Mapping[str, Path], out: Artifact, report: Path) -> Metrics:
    """Run the step here, or have a TrainJob run it. What is carried to an object store holds no links."""
    if cluster := cluster_of(step):
        from trace_retriever.config.train import TrainConfig
        from trace_retriever.kubernetes.lifetime import Owner
        from trace_retriever.kubernetes.remote import run_train_job

        assert isinstance(section, TrainConfig)
        owner = Owner.from_environment()
        return run_train_job(section, cluster, inputs=paths, out=Path(out.path), report=report, owner=owner)
    return run_step(
        step,
        section,
        inputs=paths,
        out=Path(out.path),
        report=report,
        work_root=Path(os.environ.get(WORK) or WORK_ROOT),
        links="://" not in out.uri,
    )


def _paths(inputs: Mapping[str, Given], scratch: Path) -> dict[str, Path]:
    """A path for each input; what came in several parts is laid side by side in a folder."""
    paths: dict[str, Path] = {}
    for name, given in inputs.items():
        if given is None:
            continue
        if not isinstance(given, Sequence):
            if not is_absent(Path(given.path)):
                paths[name] = Path(given.path)
        elif given:
            paths[name] = scratch / name
            for number, part in enumerate(given):
                shutil.copytree(part.path, paths[name] / str(number), copy_function=link_or_copy)
    return paths


def _publish(step: str, report: Path, outputs: Mapping[str, Artifact], entry: Entry) -> None:
    """Put figures and the page where KFP's pages look for them."""
    metrics, page = outputs["metrics"], Path(outputs["page"].path)
    shutil.copyfile(report / "metrics.json", _parent(Path(metrics.path)))
    metrics.metadata.update(
        {key: value for key, value in entry.metrics.items() if isinstance(value, int | float)}
    )
    if step in PAGES:
        shutil.copyfile(report / PAGES[step], _parent(page))
    else:
        from trace_retriever.kubeflow.curves import write_curves

        write_curves(report, _parent(page), f"Curves of step {step}")


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
