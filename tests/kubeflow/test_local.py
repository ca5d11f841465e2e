"""Pipelines on this machine, each task a process: what succeeds, fails, is never begun, and is killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.cards.chain import register_chain, write_chain
from tests.kubeflow.fetch import compile_fetch

from trace_retriever.cli import main
from trace_retriever.io.files import digest_file, digest_tree, read_json
from trace_retriever.kubeflow.ledger import Ledger
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE, Remote

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
FOREVER = 120.0


@dataclass(frozen=True)
class Approved:
    """A registered model in a DVC remote."""

    folder: Path
    remote: Path
    md5: str
    pipelines: Path

    @property
    def manifest(self) -> str:
        return digest_file(self.folder / "manifest.json")

    def command(self, directory: Path, **changed: str) -> list[str]:
        """`trace pipeline run fetch …` of this model."""
        given = {"model": self.md5, "manifest": self.manifest} | changed
        arguments = [word for name, value in given.items() for word in ("--arg", f"{name}={value}")]
        places = ("--out", str(directory), "--pipelines", str(self.pipelines))
        return ["pipeline", "run", "fetch", *places, *arguments]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Approved:
    folder, remote = tmp_path_factory.mktemp("approved"), tmp_path_factory.mktemp("remote")
    registered = register_chain(write_chain(folder))
    pipelines = compile_fetch(tmp_path_factory.mktemp("fetch"))
    return Approved(registered, remote, Remote(str(remote)).push(registered), pipelines)


@pytest.fixture
def approved(stored: Approved, monkeypatch: pytest.MonkeyPatch) -> Approved:
    monkeypatch.setenv(REMOTE, str(stored.remote))
    monkeypatch.delenv(ENDPOINT, raising=False)
    return stored


def states(directory: Path) -> dict[str, str]:
    return {task["step"]: task["state"] for task in read_json(directory / "run.json")["tasks"]}


def report(directory: Path) -> dict[str, Any]:
    """What the exit handler of the one run here left, for machines."""
    [record] = directory.glob("artifacts/*/report/record")
    found: dict[str, Any] = read_json(record)
    return found


def fails(command: list[str]) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(command)
    return int(str(stopped.value.code))


def test_an_approved_version_is_fetched_by_digest_and_checked(
    approved: Approved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(approved.command(tmp_path / "run"))
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[-4] for line in said if line[-3:-2] == ["after"]] == ["done", "done"]
    [fetched] = (tmp_path / "run").glob("artifacts/*/pull/out")
    assert digest_tree(fetched) == digest_tree(approved.folder)
    left = report(tmp_path / "run")
    assert left["state"] == "SUCCEEDED"
    [pulled, verified] = left["tasks"]
    assert pulled["outputs"] == {"out": digest_tree(approved.folder), "dvc": approved.md5}
    assert verified["metrics"]["version"] == "1.2.3"


def test_a_failing_task_fails_the_run_and_the_report_is_left(
    approved: Approved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fails(approved.command(tmp_path / "run", manifest="sha256:" + "0" * 64)) == 1
    assert states(tmp_path / "run") == {"pull": "done", "verify": "failed"}
    left = report(tmp_path / "run")
    assert left["state"] == "FAILED"
    why = left["tasks"][-1]["problem"].splitlines()[0]
    assert why in capsys.readouterr().err
    [summary] = (tmp_path / "run").glob("artifacts/*/report/summary")
    assert why in summary.read_text()
    [page] = (tmp_path / "run").glob("artifacts/*/report/page")
    assert "verify" in page.read_text()


def test_what_comes_after_a_failed_task_is_never_begun(approved: Approved, tmp_path: Path) -> None:
    assert fails(approved.command(tmp_path / "run", model="0" * 32 + ".dir")) == 1
    assert states(tmp_path / "run") == {"pull": "failed"}
    assert not list((tmp_path / "run").glob("artifacts/*/verify"))
    assert report(tmp_path / "run")["state"] == "FAILED"


def group(pid: int) -> set[int]:
    """The processes that still run below one, by what the kernel says of parents and groups."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ProcessLookupError):
            continue
        if int(fields[2]) == pid and fields[0] != "Z":
            found.add(int(folder.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_run_leaves_no_process_and_goes_on_with_the_same_command(
    approved: Approved, tmp_path: Path, number: signal.Signals
) -> None:
    run = tmp_path / "run"
    ledger = Ledger(str(run / "ledger"), "run")
    command = [sys.executable, "-m", "trace_retriever.cli", *approved.command(run)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until = time.monotonic() + FOREVER
    while not (Path(ledger.place).exists() and ledger.read()):  # the first task has begun
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    [worker] = [
        int(child)
        for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if os.getpgid(int(child)) == int(child)
    ]
    assert len(group(worker)) >= 2
    process.send_signal(number)
    process.communicate(timeout=FOREVER)
    assert process.returncode != 0
    while group(worker):
        assert time.monotonic() < until, "a task was left behind"
        time.sleep(0.05)
    assert not (run / "run.json").exists()
    main(approved.command(run))
    assert states(run) == {"pull": "done", "verify": "done"}
    assert digest_tree(next(run.glob("artifacts/*/verify")).parent / "pull/out") == digest_tree(
        approved.folder
    )
