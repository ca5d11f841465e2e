"""A TrainJob goes with the task that watches it: a real process that is told to end, over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crds import faults  # type: ignore[import-not-found]
from test_remote import INPUTS, QUICK, config, two_machines  # type: ignore[import-not-found]
from tests.conftest import ROOT
from trainer import Trainer, serving  # type: ignore[import-not-found]

from trace_retriever.kubeflow.multi_node import TRAIN_CLUSTER, as_variable
from trace_retriever.kubernetes.api import ClusterError, TrainJobs
from trace_retriever.kubernetes.lifetime import POD_NAME, POD_UID, RUN, RUN_ANNOTATION, Owner
from trace_retriever.kubernetes.rights import rights
from trace_retriever.kubernetes.train_job import train_job

pytestmark = pytest.mark.timeout(600)
# The body of the compiled component, in the process that KFP's executor would be.
WATCH = """\
import json, sys
from pathlib import Path
from tests.kubeflow.artifacts import here, outputs
from trace_retriever.kubeflow.component import run_component
quick, inputs, made = json.loads(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3])
run_component("train", quick, {name: here(Path(path)) for name, path in inputs.items()}, outputs(made))
"""
POD = Owner("training-7f-train", "0a1b-2c3d", "run-7")


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[tuple[Trainer, Path]]:
    (tmp_path / "pods").mkdir()
    with serving(tmp_path / "pods") as found:
        yield found


def watch(world: Path, tmp_path: Path, kubeconfig: Path, owner: Owner | None) -> "subprocess.Popen[bytes]":
    """A task's process, which starts the TrainJob."""
    shared = tmp_path / "shared"
    shared.mkdir(exist_ok=True)
    surroundings = {
        **{name: value for name, value in os.environ.items() if name != "KUBERNETES_SERVICE_HOST"},
        **({POD_NAME: owner.name, POD_UID: owner.uid, RUN: owner.run} if owner else {}),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src/trace"))),
        "KUBECONFIG": str(kubeconfig),
        TRAIN_CLUSTER: as_variable(two_machines(shared)),
    }
    inputs = {name: str(world / name) for name in INPUTS}
    long = {**QUICK, "steps": 100_000, "checkpoint_every": 50_000}
    command = [sys.executable, "-c", WATCH, json.dumps(long), json.dumps(inputs), str(tmp_path / "made")]
    with (tmp_path / "task.log").open("ab") as log:
        return subprocess.Popen(command, cwd=tmp_path, env=surroundings, stdout=log, stderr=log)


@pytest.fixture
def in_here(trainer: tuple[Trainer, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process talk to the stand-in."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(trainer[1]))


def looked_at(held: Trainer) -> bool:
    """Whether a job's log was asked for: its watcher sleeps until its next look."""
    return any(path.endswith("/log") for _, path in held.requests)


def until(true: Callable[[], object], process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 120
    while not true():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


@pytest.mark.slow
def test_a_task_that_is_told_to_end_takes_its_train_job_with_it(
    world: Path, trainer: tuple[Trainer, Path], tmp_path: Path
) -> None:
    held, kubeconfig = trainer
    log = tmp_path / "task.log"
    process = watch(world, tmp_path, kubeconfig, POD)
    until(lambda: looked_at(held), process, log)
    [(name, body)] = held.jobs.items()
    nodes = held.machines[name]
    assert body["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": POD.name, "uid": POD.uid}
    ]
    held.trouble, held.lingers = [503], 3  # a server that is busy just then is asked again
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) != 0
    assert "told to end" in log.read_text()
    assert all(node.process.wait(10) for node in nodes)
    assert [verb for verb, _ in held.requests].count("DELETE") == 2

    # The next try waits until the one that is being removed is gone, and starts one of its own.
    again = watch(world, tmp_path, kubeconfig, Owner("training-7f-train-2", "4e5f", "run-7"))
    until(lambda: held.machines.get(name), again, log)
    assert held.jobs[name]["metadata"]["ownerReferences"][0]["uid"] == "4e5f"
    again.send_signal(signal.SIGTERM)
    again.wait(60)


@pytest.mark.slow
def test_without_a_pod_the_train_job_runs_on_for_whoever_watches_next(
    world: Path, trainer: tuple[Trainer, Path], tmp_path: Path
) -> None:
    held, kubeconfig = trainer
    process = watch(world, tmp_path, kubeconfig, None)
    until(lambda: looked_at(held), process, tmp_path / "task.log")
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    [body] = held.jobs.values()
    assert "ownerReferences" not in body["metadata"]
    assert "DELETE" not in [verb for verb, _ in held.requests]

    # A pipeline's task with the same params and inputs watches it too; cancelled, it leaves it as it was.
    other = watch(world, tmp_path, kubeconfig, POD)
    until(
        lambda: "watched: it runs already" in (tmp_path / "task.log").read_text(),
        other,
        tmp_path / "task.log",
    )
    other.send_signal(signal.SIGTERM)
    assert other.wait(60) != 0
    assert list(held.jobs.values()) == [body]
    assert "DELETE" not in [verb for verb, _ in held.requests]


@pytest.mark.usefixtures("in_here")
def test_only_the_job_that_was_meant_is_removed(trainer: tuple[Trainer, Path]) -> None:
    held, _ = trainer
    held.jobs["x"] = {"metadata": {"name": "x", "uid": "new", "annotations": {RUN_ANNOTATION: "run-7"}}}
    held.machines["x"] = []
    jobs = TrainJobs("here")
    state = jobs.state("x")
    assert state is not None
    assert (state.uid, state.run, state.leaving) == ("new", "run-7", False)
    with pytest.raises(ClusterError, match="409"):
        jobs.remove("x", "old")
    jobs.remove("x", "new")
    assert held.jobs == {}


def test_an_owner_costs_no_further_right(tmp_path: Path) -> None:
    settings = two_machines(tmp_path)
    body = train_job("x", settings, config(), tmp_path / "x", {}, owner=POD)
    [reference] = body["metadata"]["ownerReferences"]
    assert body["metadata"]["annotations"] == {RUN_ANNOTATION: "run-7"}
    assert faults(body) == []
    assert "blockOwnerDeletion" not in reference, "it would take the right to update a pod's finalizers"
    [role] = [found for found in rights(settings) if found["kind"] == "Role"]
    verbs = {rule["resources"][0]: rule["verbs"] for rule in role["rules"]}
    assert verbs == {"trainjobs": ["create", "get", "delete"], "pods": ["list"], "pods/log": ["get"]}


def test_a_process_that_was_told_half_of_its_pod_has_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POD_NAME, POD.name)
    monkeypatch.delenv(POD_UID, raising=False)
    assert Owner.from_environment() is None
    monkeypatch.setenv(POD_UID, POD.uid)
    monkeypatch.setenv(RUN, POD.run)
    assert Owner.from_environment() == POD
