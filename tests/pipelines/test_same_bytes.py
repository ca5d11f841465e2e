"""The training pipeline run by KFP on this machine leaves what `dvc repro` leaves, byte for byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts.toy import PROFILE, TOY
from tests.conftest import ROOT

from trace_retriever.cli import main
from trace_retriever.config import SECTIONS, load_section
from trace_retriever.errors import Refused
from trace_retriever.io.files import digest_tree, read_json
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE, Remote
from trace_retriever.step import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
# Two processes train, and what only the checkout has stays out of both.
SMALL = (*TOY, "train.processes=2", "evaluate.seeds_file=null")


@pytest.fixture(scope="module")
def params(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    sections = {name: load_section(name, PROFILE, SMALL).model_dump(mode="json") for name in SECTIONS}
    path.write_text(yaml.safe_dump(sections))
    return path


@pytest.fixture(scope="module")
def repro(params: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `dvc repro` makes of the stages of this checkout, in a copy."""
    copy = tmp_path_factory.mktemp("repro")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=unwanted)
    shutil.copyfile(ROOT / "dvc.yaml", copy / "dvc.yaml")
    shutil.copyfile(params, copy / "params.yaml")
    (copy / "results").mkdir()
    (copy / "results/seeds.json").write_text("{}\n")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    for command in (["init", "--no-scm", "--quiet"], ["repro"]):
        subprocess.run(
            [sys.executable, "-m", "dvc", *command], cwd=copy, check=True, env={**os.environ, "PATH": path}
        )
    return copy


def run_pipeline(directory: Path, *options: str) -> None:
    pipelines = ("--pipelines", str(ROOT / "pipelines"))
    main(["pipeline", "run", "training", "--out", str(directory), *pipelines, *options])


@pytest.fixture(scope="module")
def ran(params: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("kfp") / "first"
    run_pipeline(directory, "--params", str(params))
    return directory


# Where `dvc.yaml` has an output and its figures, and the pipeline's task that makes them.
TASKS = {(STEPS[name].out, STEPS[name].report): name for name in STEPS if name not in ("train", "embed")} | {
    ("models/trace", "results/train/trace"): "train",
    ("models/encoder", "results/train/encoder"): "train-2",
    ("embeddings/trace", "results/embed/trace"): "embed-2",  # of two parts, put together
    ("embeddings/encoder", "results/embed/encoder"): "embed-4",
}


def artifact(directory: Path, task: str, name: str) -> Path:
    """An output of a task of the one run in a directory."""
    [path] = directory.glob(f"artifacts/*/{task}/{name}")
    return path


@pytest.mark.parametrize(("out", "report"), TASKS, ids=TASKS.values())
def test_a_step_leaves_the_same_bytes_and_figures(repro: Path, ran: Path, out: str, report: str) -> None:
    task = TASKS[out, report]
    assert digest_tree(artifact(ran, task, "out")) == digest_tree(repro / out)
    left, noted = (
        figures(artifact(ran, task, "report") / "metrics.json"),
        figures(artifact(ran, task, "metrics")),
    )
    assert left == noted == figures(repro / report / "metrics.json")


def figures(path: Path) -> dict[str, Any]:
    """Metrics, but for the one thing that differs: what was embedded in parts reuses the parts' vectors."""
    found: dict[str, Any] = read_json(path)
    return {name: value for name, value in found.items() if not name.startswith("reused_")}


def test_all_stages_of_dvc_were_compared(repro: Path) -> None:
    stages = yaml.safe_load((repro / "dvc.lock").read_text())["stages"]
    assert len(stages) == len(TASKS)


def test_what_was_done_is_not_done_again_and_a_refusal_ends_in_exit_code_3(
    params: Path, ran: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(ran.glob("artifacts/*"))
    with pytest.raises(SystemExit) as stopped:
        run_pipeline(ran, "--params", str(params), "--set", "gate.floors.average=1.0")
    assert stopped.value.code == Refused.exit_code
    tasks = {task["step"]: task for task in read_json(ran / "run.json")["tasks"]}
    assert {name: task["state"] for name, task in tasks.items()} == {"gate": "refused", "register": "failed"}
    said = capsys.readouterr().err
    assert tasks["gate"]["problem"].splitlines()[0] in said
    [again] = set(ran.glob("artifacts/*")) - before
    assert (again / "gate/page").stat().st_size > 0
    assert "refused" in (again / "report/summary").read_text()
    assert not (again / "register/out").exists()


def test_a_champion_named_by_its_digest_is_fetched_and_compared(
    params: Path, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [registered] = ran.glob("artifacts/*/register/out")
    remote = Remote(str(tmp_path / "remote"))
    digest = remote.push(registered)
    monkeypatch.setenv(REMOTE, remote.address)
    monkeypatch.delenv(ENDPOINT, raising=False)
    before = set(ran.glob("artifacts/*"))
    run_pipeline(ran, "--params", str(params), "--arg", f"champion={digest}")
    tasks = {task["step"]: task["state"] for task in read_json(ran / "run.json")["tasks"]}
    assert tasks == {"pull": "done", "gate": "done", "register": "done"}
    [again] = set(ran.glob("artifacts/*")) - before
    assert digest_tree(again / "pull/out") == digest_tree(registered)
    assert read_json(again / "gate/out/verdict.json")["champion"] is not None
    assert read_json(registered / "evidence/verdict.json")["champion"] is None
