"""Runs route, synthesize and filter as the command does, for their tests."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from trace_retriever.config import load_section
from trace_retriever.runner import run_step
from trace_retriever.step import Metrics

OUT = {"route": "routes", "synthesize": "traces", "filter": "kept"}


def run(base: Path, step: str, *overrides: str, out: str | None = None) -> Metrics:
    """Run a step with the data set `base/mbeir` and the earlier steps' outputs below `base`."""
    inputs = {"dataset": base / "mbeir"}
    if step == "synthesize":
        inputs["routes"] = base / "routes"
    if step == "filter":
        inputs["traces"] = base / "traces"
    return run_step(
        step,
        load_section(step, None, overrides),
        inputs=inputs,
        out=base / (out or OUT[step]),
        report=base / "results" / (out or step),
        work_root=base / "work",
    )


def start_synthesize(base: Path, overrides: Sequence[str], key: str) -> "subprocess.Popen[bytes]":
    """Start `trace synthesize` as a process of its own, its work under `base/.trace`."""
    sets = [part for override in overrides for part in ("--set", override)]
    paths = [f"--{name}={base / part}" for name, part in (("dataset", "mbeir"), ("routes", "routes"))]
    paths += [f"--out={base / 'killed'}", f"--report={base / 'results' / 'killed'}"]
    return subprocess.Popen(
        [sys.executable, "-m", "trace_retriever.cli", "synthesize", *paths, *sets],
        cwd=base,
        env={**os.environ, "THE_KEY": key, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def content(directory: Path) -> dict[str, bytes]:
    """Name → bytes of the files of an output directory."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
