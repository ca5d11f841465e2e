"""Running a step: inputs checked, outputs put in place whole, metrics and a manifest left beside them."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from trace_retriever import __version__
from trace_retriever.config import Section
from trace_retriever.errors import DataError, Refused
from trace_retriever.io.files import atomic_directory, digest_bytes, digest_tree, read_json, write_json
from trace_retriever.io.links import materialise
from trace_retriever.io.locks import shared_directory
from trace_retriever.io.nodes import Nodes
from trace_retriever.step import STEPS, Metrics, Step

WORK_ROOT = Path(os.environ.get("TRACE_WORK", ".trace/work"))  # machines of one run share it


def run_step(
    name: str,
    config: Section,
    *,
    inputs: Mapping[str, Path] | None = None,
    out: Path | None = None,
    report: Path | None = None,
    work_root: Path = WORK_ROOT,
    links: bool = True,
) -> Metrics:
    """Run one step and put its outputs in place.

    The directories `out` and `report` (which gets `metrics.json` and `manifest.json` too) are replaced only
    when the step has finished or has refused; a fault or a kill leaves the old ones. What the step had done
    by then is in a work directory named by its config and inputs' digests, where the same call finds it.
    Processes that run the same call at one time share that directory; the last of them removes it. Of the
    machines of one run (`io.nodes`) only the first puts anything in place; the others return no metrics.

    Args:
        name: a key of `STEPS`.
        config: the step's params section.
        inputs: argument name → path, for those that differ from the defaults.
        out, report: where the outputs go, if not to the defaults.
        work_root: where work in progress is kept.
        links: False puts what the output links to in the place of the links (a linked data set, linked
            weights), for an output that is carried elsewhere.

    Returns:
        The step's metrics, as written to `<report>/metrics.json`.

    Raises:
        DataError: an input is missing (says which step makes it), or an output would take the place of an
            input, of the other output, of a file, or of the directory that this runs in.
        Refused: the step's checks said no; outputs and report are in place all the same.
    """
    step = STEPS[name]
    out, report = out or Path(step.out), report or Path(step.report)
    paths = _resolve_inputs(step, inputs or {})
    _check_targets({"out": out, "report": report}, paths)
    digests = {key: digest_tree(path) for key, path in paths.items() if path is not None}
    identity = {"step": name, "config": config.model_dump(mode="json"), "inputs": digests}
    work = work_root / f"{name}-{digest_bytes(repr(sorted(_flat(identity))).encode())[7:23]}"
    if not Nodes.from_environment().leads:
        _help(step, config, paths, work)
        return {}
    started = time.time()
    refusal: Refused | None = None
    with ExitStack() as stack:
        stack.enter_context(shared_directory(work))
        new_out = stack.enter_context(atomic_directory(out))
        new_report = stack.enter_context(atomic_directory(report))
        try:
            metrics = step.function()(config, **paths, out=new_out, report=new_report, work=work)
        except Refused as error:
            refusal, metrics = error, error.metrics
        if not links:
            materialise(new_out)
        write_json(new_report / "metrics.json", metrics)
        write_json(new_report / "manifest.json", _manifest(identity, paths, new_out, started))
    if refusal is not None:
        raise refusal
    return metrics


def _help(step: Step, config: Section, paths: Mapping[str, Path | None], work: Path) -> None:
    """Do this machine's part of a step whose outputs another one puts in place."""
    with shared_directory(work), TemporaryDirectory() as folder:
        out, report = Path(folder, "out"), Path(folder, "report")
        out.mkdir()
        report.mkdir()
        step.function()(config, **paths, out=out, report=report, work=work)


def _resolve_inputs(step: Step, given: Mapping[str, Path]) -> dict[str, Path | None]:
    paths: dict[str, Path | None] = {}
    for key, default in step.inputs.items():
        path = given.get(key, Path(default))
        if not path.exists():
            maker = next((s.name for s in STEPS.values() if Path(s.out) == path), None)
            remedy = (
                f"run `trace {maker}` first, or name it with --{key}" if maker else f"name it with --{key}"
            )
            raise DataError(f"input {key!r} of step {step.name!r} not found", where=path, remedy=remedy)
        paths[key] = path
    for key, optional in step.optional.items():
        if key in given and not given[key].exists():
            raise DataError(f"input {key!r} of step {step.name!r} not found", where=given[key])
        # defaults belong together: beside named inputs, what lies at a default path is another run's
        default_there = not given and optional is not None and Path(optional).exists()
        paths[key] = given.get(key) or (Path(optional) if optional and default_there else None)
    return paths


def _check_targets(targets: Mapping[str, Path], inputs: Mapping[str, Path | None]) -> None:
    """Outputs are replaced whole: refuse where that would destroy something else."""
    kept = {f"input {key!r}": path for key, path in inputs.items() if path is not None}
    kept["the current directory"] = Path()
    for key, target in targets.items():
        if target.exists() and not target.is_dir():
            raise DataError(
                "output is a file and not a directory", where=target, remedy=f"name another --{key}"
            )
        others = kept | {f"the other output, {name}": path for name, path in targets.items() if name != key}
        for name, path in others.items():
            if path.resolve().is_relative_to(target.resolve()):
                raise DataError(
                    f"output would take the place of {name}", where=target, remedy=f"name another --{key}"
                )


def _flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key in value for pair in _flat(value[key], f"{prefix}.{key}")]
    return [(prefix, repr(value))]


def _manifest(
    identity: dict[str, Any], paths: Mapping[str, Path | None], out: Path, started: float
) -> dict[str, Any]:
    """What made an output, from what, when and where: enough to walk any figure back to its records."""
    return {
        **identity,
        "paths": {key: str(path) for key, path in paths.items() if path is not None},
        "output": digest_tree(out),
        "commit": os.environ.get("TRACE_COMMIT") or git_commit(),  # an image holds no repository
        **({"run": os.environ["TRACE_RUN"]} if os.environ.get("TRACE_RUN") else {}),
        "version": __version__,
        "machine": machine(),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 1),
    }


def machine() -> dict[str, Any]:
    """The machine in the terms that figures depend on; no host name, no user name."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "executable": Path(sys.executable).name,
    }


def git_commit() -> str | None:
    """The commit of the checkout that this runs in, `-dirty` where it was changed; None outside of one."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def read_manifest(report: Path) -> dict[str, Any]:
    """The manifest that `run_step` left in a report directory."""
    manifest: dict[str, Any] = read_json(report / "manifest.json")
    return manifest
