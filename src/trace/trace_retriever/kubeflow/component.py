"""What every component's body calls: a step run on artifacts, figures and pages where KFP shows them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from trace_retriever.errors import Refused
from trace_retriever.io.files import read_json
from trace_retriever.kubeflow.arguments import section_of
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import Entry, noted
from trace_retriever.kubeflow.remote import push_output
from trace_retriever.runner import WORK_ROOT, run_step

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
    with noted(step, {key: value for key, value in fields.items() if value}) as entry, ExitStack() as stack:
        section = section_of(step, config, fields)
        entry.config, entry.place = section.model_dump(mode="json"), outputs["out"].uri
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trace-")))
        out, report = Path(outputs["out"].path), Path(outputs["report"].path)
        try:
            entry.metrics = run_step(
                step,
                section,
                inputs=_paths(inputs, scratch),
                out=out,
                report=report,
                work_root=Path(os.environ.get(WORK) or WORK_ROOT),
            )
        except Refused as refusal:
            entry.state, entry.problem, entry.metrics = "refused", str(refusal), refusal.metrics
            print(f"{step} refuses: {refusal}", file=sys.stderr)
        _publish(step, report, outputs, entry)
        entry.outputs = {"out": read_json(report / "manifest.json")["output"]}
        outputs["out"].metadata["digest"] = entry.outputs["out"]
        if pushed := push_output(out):
            entry.outputs["dvc"] = outputs["out"].metadata["dvc"] = pushed


def _paths(inputs: Mapping[str, Given], scratch: Path) -> dict[str, Path]:
    """A path for each input; what came in several parts is laid side by side in a folder."""
    paths: dict[str, Path] = {}
    for name, given in inputs.items():
        if given is None:
            continue
        if not isinstance(given, Sequence):
            paths[name] = Path(given.path)
        elif given:
            paths[name] = scratch / name
            for number, part in enumerate(given):
                shutil.copytree(part.path, paths[name] / str(number), copy_function=_link_or_copy)
    return paths


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


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
