"""Runs of a small step that is defined here: it copies its input's text, and can fault, refuse or die."""

import json
import signal
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from trace_retriever.config import Section
from trace_retriever.errors import DataError, GateFailed
from trace_retriever.io.files import digest_tree, read_json, write_atomic
from trace_retriever.runner import read_manifest, run_step
from trace_retriever.step import STEPS, Metrics, Step


class ProbeConfig(Section):
    times: int = 1
    end: Literal["well", "fault", "refusal", "kill", "nan"] = "well"


def probe(
    config: ProbeConfig, *, text: Path, extra: Path | None, out: Path, report: Path, work: Path
) -> Metrics:
    """Copy the text; count in `work` how often it was begun."""
    begun = [*work.glob("begun*")]
    write_atomic(work / f"begun{len(begun)}", "")
    write_atomic(out / "copy.txt", (text / "a.txt").read_text() * config.times)
    write_atomic(report / "page.html", "page")
    metrics: Metrics = {"begun": len(begun) + 1, "extra": extra is not None}
    match config.end:
        case "fault":
            raise ZeroDivisionError
        case "kill":
            import os

            os.kill(os.getpid(), signal.SIGKILL)
        case "refusal":
            raise GateFailed("too low", metrics=metrics)
        case "nan":
            return metrics | {"score": float("nan")}
    return metrics


STEP = Step(
    name="probe", summary="", inputs={"text": "data/text"}, optional={"extra": "data/extra"}, out="probed"
)


def install(put: Callable[[dict[str, Any], str, Any], None]) -> None:
    """Make the step known under its name."""
    module = types.ModuleType("trace_retriever.steps.probe")
    module.__dict__["probe"] = probe
    put(sys.modules, module.__name__, module)
    put(STEPS, "probe", STEP)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    install(monkeypatch.setitem)
    write_atomic(tmp_path / "data/text/a.txt", "x")
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_outputs_metrics_and_manifest_are_put_in_place(here: Path) -> None:
    metrics = run_step("probe", ProbeConfig(times=2))
    assert metrics == {"begun": 1, "extra": False}
    assert (here / "probed/copy.txt").read_text() == "xx"
    assert names(here / "results/probe") == ["manifest.json", "metrics.json", "page.html"]
    assert read_json(here / "results/probe/metrics.json") == metrics
    manifest = read_manifest(here / "results/probe")
    assert manifest["config"] == {"times": 2, "end": "well"}
    assert manifest["inputs"] == {"text": digest_tree(here / "data/text")}
    assert manifest["output"] == digest_tree(here / "probed")
    assert names(here / ".trace/work") == []


def test_a_missing_input_is_named_with_what_makes_it() -> None:
    with pytest.raises(DataError, match="input 'dataset' of step 'route' not found") as error:
        run_step("route", ProbeConfig())
    assert "trace prepare" in str(error.value.remedy)


def test_an_optional_input_may_be_absent_but_not_when_it_is_named(here: Path) -> None:
    with pytest.raises(DataError, match="input 'extra'"):
        run_step("probe", ProbeConfig(), inputs={"extra": here / "none"})
    (here / "data/extra").mkdir()
    assert run_step("probe", ProbeConfig())["extra"] is True
    named = {"text": here / "data/text"}
    assert run_step("probe", ProbeConfig(), inputs=named)["extra"] is False


def test_a_fault_leaves_the_old_outputs_and_keeps_the_work(here: Path) -> None:
    run_step("probe", ProbeConfig())
    before = digest_tree(here / "probed"), digest_tree(here / "results")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            run_step("probe", ProbeConfig(times=3, end="fault"))
    assert (digest_tree(here / "probed"), digest_tree(here / "results")) == before
    assert names(here) == [".trace", "data", "probed", "results"]
    (work,) = (here / ".trace/work").iterdir()
    assert names(work) == ["begun0", "begun1"]


def test_a_refusal_leaves_outputs_and_report_and_is_raised(here: Path) -> None:
    with pytest.raises(GateFailed, match="too low"):
        run_step("probe", ProbeConfig(end="refusal"))
    assert names(here / "probed") == ["copy.txt"]
    assert names(here / "results/probe") == ["manifest.json", "metrics.json", "page.html"]
    assert read_json(here / "results/probe/metrics.json") == {"begun": 1, "extra": False}
    assert names(here / ".trace/work") == []


def test_a_kill_leaves_the_old_outputs_and_the_next_run_finds_the_work(here: Path) -> None:
    run_step("probe", ProbeConfig())
    before = digest_tree(here / "probed"), digest_tree(here / "results/probe")
    code = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("here", {__file__!r})
here = importlib.util.module_from_spec(spec)
sys.modules["here"] = here
spec.loader.exec_module(here)
here.install(lambda table, key, value: table.__setitem__(key, value))
here.run_step("probe", here.ProbeConfig(end="kill"))
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (digest_tree(here / "probed"), digest_tree(here / "results/probe")) == before
    (work,) = (here / ".trace/work").iterdir()
    assert names(work) == ["begun0", "begun1"]
    run_step("probe", ProbeConfig())
    assert names(here / "results") == ["probe"]
    assert names(here) == [".trace", "data", "probed", "results"]


@pytest.mark.parametrize("change", ["config", "input"])
def test_other_params_or_inputs_have_work_of_their_own(here: Path, change: str) -> None:
    with pytest.raises(ZeroDivisionError):
        run_step("probe", ProbeConfig(end="fault"))
    if change == "input":
        write_atomic(here / "data/text/a.txt", "y")
    with pytest.raises(ZeroDivisionError):
        run_step("probe", ProbeConfig(end="fault", times=2 if change == "config" else 1))
    assert len(names(here / ".trace/work")) == 2


def test_metrics_that_are_not_finite_put_nothing_in_place(here: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        run_step("probe", ProbeConfig(end="nan"))
    assert not (here / "probed").exists()
    assert not (here / "results/probe").exists()


def test_equal_inputs_give_equal_outputs_and_metrics(here: Path) -> None:
    run_step("probe", ProbeConfig())
    first = digest_tree(here / "probed"), (here / "results/probe/metrics.json").read_bytes()
    run_step("probe", ProbeConfig())
    assert (digest_tree(here / "probed"), (here / "results/probe/metrics.json").read_bytes()) == first


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        ({"out": "data/text"}, "place of input 'text'"),
        ({"out": "data"}, "place of input 'text'"),
        ({"report": "data"}, "place of input 'text'"),
        ({"out": "."}, "place of"),
        ({"out": ".."}, "place of"),
        ({"out": "same", "report": "same"}, "place of the other output"),
        ({"out": "both", "report": "both/report"}, "place of the other output"),
        ({"out": "data/text/a.txt"}, "a file and not a directory"),
    ],
)
def test_an_output_never_takes_the_place_of_something_else(
    here: Path, targets: dict[str, str], problem: str
) -> None:
    before = digest_tree(here / "data")
    with pytest.raises(DataError, match=problem):
        run_step("probe", ProbeConfig(), **{key: Path(path) for key, path in targets.items()})  # type: ignore[arg-type]
    assert digest_tree(here / "data") == before


def test_the_manifest_names_no_user_and_no_path_of_the_machine(here: Path) -> None:
    run_step("probe", ProbeConfig())
    assert str(here) not in json.dumps(read_manifest(here / "results/probe"))
