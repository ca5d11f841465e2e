"""Tasks note themselves, and the report says what they noted, however they ended."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from trace_retriever.errors import DataError
from trace_retriever.kubeflow.ledger import COMMIT, LEDGER, RUN, Ledger, noted
from trace_retriever.kubeflow.run_report import write_report


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    for name, value in {LEDGER: str(tmp_path / "ledger"), RUN: "run-1", COMMIT: "c0ffee"}.items():
        monkeypatch.setenv(name, value)
    found = Ledger.from_environment()
    assert found
    return found


def report(folder: Path, state: str) -> tuple[str, str]:
    """Page and summary for a run in that state."""
    status = SimpleNamespace(state=state, pipeline_job_resource_name="job-7", error_message="")
    write_report(status, folder / "page", folder / "summary", folder / "record")
    return (folder / "page").read_text(), (folder / "summary").read_text()


def test_every_end_is_noted_and_told(ledger: Ledger, tmp_path: Path) -> None:
    with noted("prepare", {}) as done:
        assert [entry.state for entry in ledger.read()] == ["running"]
        done.metrics, done.outputs = {"pictures": 14}, {"out": "sha256:1"}
    with noted("validate", {}) as refusing:
        refusing.state, refusing.problem = "refused", "too <few> | records\nand more"
    for error in (DataError("no such pool"), KeyboardInterrupt()):
        with pytest.raises(type(error)), noted("embed", {"part": "0/2"}):
            raise error
    entries = ledger.read()
    assert [entry.state for entry in entries] == ["done", "refused", "failed", "failed"]
    assert [entry.name for entry in entries][2:] == ["embed 0/2"] * 2
    assert {entry.commit for entry in entries} == {"c0ffee"}
    page, summary = report(tmp_path, "FAILED")
    assert "too &lt;few&gt;" in page
    assert "sha256:1" in page
    assert "| embed 0/2 | failed |" in summary
    assert "no such pool" in summary
    assert "KeyboardInterrupt" in summary
    assert "too <few> \\| records |" in summary
    record = json.loads((tmp_path / "record").read_text())
    assert (record["run"], record["commit"], record["state"]) == ("run-1", "c0ffee", "FAILED")


@pytest.mark.usefixtures("ledger")
def test_a_task_that_never_noted_its_end_was_killed(tmp_path: Path) -> None:
    with noted("train", {}) as entry:
        _, summary = report(tmp_path, "FAILED")
    assert "| train | killed |" in summary
    assert entry.state == "done"


def test_runs_are_kept_apart(ledger: Ledger) -> None:
    with noted("prepare", {}):
        pass
    assert Ledger(ledger.address, "run-2").read() == []


def test_without_a_ledger_tasks_run_and_the_report_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LEDGER, raising=False)
    with noted("prepare", {}) as entry:
        pass
    assert entry.state == "done"
    page, summary = report(tmp_path, "SUCCEEDED")
    assert LEDGER in page
    assert LEDGER in summary


def test_a_place_that_cannot_be_used_is_named_before_the_work(ledger: Ledger) -> None:
    Path(ledger.address).write_text("a file\n")
    with pytest.raises(DataError, match="ledger cannot be used"), noted("prepare", {}):
        pytest.fail("it ran without its note")
    with pytest.raises(DataError, match="ledger cannot be used"):
        Ledger("nonsense://x", "run").read()


def test_a_broken_note_is_named(ledger: Ledger) -> None:
    Path(ledger.place).mkdir(parents=True)
    Path(ledger.place, "prepare-1.json").write_text("{")
    with pytest.raises(DataError, match="ledger cannot be used"):
        ledger.read()
