"""A compiled pipeline on this machine: KFP's own local runner, each task a process, no cluster."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trace_retriever.cards.manifest import code_digest
from trace_retriever.errors import Refused, TraceError
from trace_retriever.io.files import digest_file, write_json
from trace_retriever.kubeflow.compiled import Compiled
from trace_retriever.kubeflow.component import WORK
from trace_retriever.kubeflow.ledger import COMMIT, LEDGER, RUN, Entry, Ledger
from trace_retriever.kubeflow.run_report import shown_state

WORKER = "trace_retriever.kubeflow.local_worker"
SECONDS = 0.5


def new_run_name(pipeline: str) -> str:
    """A name that no other run has."""
    return f"{pipeline}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:4]}"


def run_local(
    compiled: Compiled,
    arguments: Mapping[str, Any],
    directory: Path,
    *,
    commit: str | None,
    say: Callable[[str], None],
) -> list[Entry]:
    """Run a pipeline to its end.

    Args:
        compiled: the very file that a cluster would get.
        arguments: parameter → value.
        directory: of this run: `artifacts/`, `ledger/`, `run.log`, `run.json`. Given again, what was done
            there with the same inputs and the same code is not done again, and a step goes on where it was
            killed.
        commit: of the code, noted in each step's manifest.
        say: takes a line of progress.

    Returns:
        What each task did.

    Raises:
        Refused: a check said no, and the step after it stopped.
        TraceError: a task failed.
    """
    directory = directory.resolve()
    name = directory.name
    job = directory / "job.json"
    write_json(
        job,
        {
            "pipeline": str(compiled.path.resolve()),
            "arguments": dict(arguments),
            "artifacts": str(directory / "artifacts"),
            "cache": str(directory / "cache" / code_digest()[7:19]),
            "parent": os.getpid(),
        },
    )
    surroundings = {
        **os.environ,
        RUN: f"{name}-{uuid.uuid4().hex[:6]}" if (directory / "ledger").exists() else name,
        LEDGER: str(directory / "ledger"),
        COMMIT: commit or "",
        WORK: str(directory / "work"),
    }
    ledger = Ledger(surroundings[LEDGER], surroundings[RUN])
    code = _watch(job, surroundings, ledger, directory / "run.log", say)
    entries = ledger.read()
    record = {
        "run": ledger.run,
        "pipeline": compiled.name,
        "compiled": digest_file(compiled.path),
        "commit": commit,
        "arguments": dict(arguments),
        "succeeded": code == 0,
        "tasks": [vars(entry) for entry in entries],
    }
    write_json(directory / "run.json", record)
    if code:
        raise _failure(entries, directory)
    return entries


def _watch(
    job: Path, surroundings: Mapping[str, str], ledger: Ledger, log: Path, say: Callable[[str], None]
) -> int:
    """Run the worker and say what the ledger says, as it comes; an interrupt ends all of its processes."""
    shown: dict[tuple[str, float], str] = {}
    with log.open("ab") as stream:
        worker = subprocess.Popen(
            [sys.executable, "-m", WORKER, str(job)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=dict(surroundings),
            start_new_session=True,
        )
        try:
            while True:
                code = worker.poll()
                _say_news(ledger, shown, say)
                if code is not None:
                    return code
                time.sleep(SECONDS)
        except BaseException:
            os.killpg(worker.pid, signal.SIGTERM)
            worker.wait()
            raise


def _say_news(ledger: Ledger, shown: dict[tuple[str, float], str], say: Callable[[str], None]) -> None:
    if not Path(ledger.place).exists():
        return
    for entry in ledger.read():
        key = (entry.name, entry.started)
        if shown.get(key) != entry.state:
            shown[key] = entry.state
            say(_line(entry))


def _line(entry: Entry) -> str:
    text = f"{entry.name:<24} {entry.state}"
    if entry.state != "running":
        text += f" after {entry.seconds:.0f} s"
    return f"{text}: {entry.problem.splitlines()[0]}" if entry.problem else text


def _failure(entries: list[Entry], directory: Path) -> TraceError:
    said = [f"{entry.name}: {entry.problem}" for entry in entries if entry.problem]
    said += [f"{entry.name}: {shown_state(entry)}" for entry in entries if entry.state == "running"]
    problem = "the run failed: " + ("\n    ".join(dict.fromkeys(said)) or "before any task began")
    remedy = f"see run.log; `--out {directory}` with the same command goes on from here"
    if any(entry.state == "refused" for entry in entries):
        return Refused(problem, metrics={}, where=directory, remedy=remedy)
    return TraceError(problem, where=directory, remedy=remedy)
