"""Training on two machines with the TrainJob's own command; each is a process group on loopback."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from trace_retriever.config import check_section
from trace_retriever.io.files import digest_tree
from trace_retriever.runner import run_step

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
INPUTS = ("dataset", "routes", "kept", "validation", "backbone")
QUICK: dict[str, Any] = {
    "steps": 24,
    "batch": 8,
    "warmup": 2,
    "processes": 2,
    "checkpoint_every": 4,
    "log_every": 2,
    "sampling": {"group": 2},
    "loss": {"direct_weight": 0.0},
    "validation": {"every": 12, "queries": 3},
}


@pytest.fixture(scope="module")
def alone(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training on one machine."""
    root = tmp_path_factory.mktemp("alone")
    run_step(
        "train",
        check_section("train", QUICK, where="test"),
        inputs={name: world / name for name in INPUTS},
        out=root / "model",
        report=root / "report",
        work_root=root / "work",
    )
    return root


def start(world: Path, root: Path, restarts: int = 3) -> list[Any]:
    from nodes import PYTHON, Node, free_port, pod_environment  # type: ignore[import-not-found]

    (root / "params.yaml").write_text(json.dumps({"train": QUICK}))
    command = [PYTHON, "-m", "trace_retriever.cli", "train", f"--params={root / 'params.yaml'}"]
    command += [f"--{name}={world / name}" for name in INPUTS]
    command += [f"--out={root / 'model'}", f"--report={root / 'report'}"]
    port = free_port()
    return [
        Node(
            command,
            pod_environment(number, 2, port, 1)
            | {
                "PET_MAX_RESTARTS": str(restarts),
                "PET_LOCAL_ADDR": "127.0.0.1",
                "TRACE_WORK": str(root / "work"),
            },
            root / f"node-{number}",
            root / f"node-{number}.log",
        )
        for number in range(2)
    ]


def has_checkpoint(root: Path, step: int) -> bool:
    return bool(list(root.glob(f"work/*/checkpoints/step-{step:08d}")))


def logs(root: Path) -> str:
    return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(root.glob("node-*.log")))


def assert_equal(root: Path, alone: Path) -> None:
    assert digest_tree(root / "model") == digest_tree(alone / "model")
    assert digest_tree(root / "report/curves/plots") == digest_tree(alone / "report/curves/plots")
    assert (root / "report/metrics.json").read_bytes() == (alone / "report/metrics.json").read_bytes()


def test_two_machines_give_the_bytes_of_one(world: Path, alone: Path, tmp_path: Path) -> None:
    from nodes import finish

    nodes = start(world, tmp_path)
    assert finish(nodes) == [0, 0], logs(tmp_path)
    assert_equal(tmp_path, alone)
    assert not list(tmp_path.glob("work/train-*")), "the last machine removes the work directory"
    assert not list((tmp_path / "node-1").iterdir()), "a helping machine leaves nothing"


@pytest.mark.parametrize("number", [0, 1])
def test_a_killed_rank_is_started_again_and_ends_in_the_same_bytes(
    world: Path, alone: Path, tmp_path: Path, number: int
) -> None:
    import os
    import signal

    from nodes import finish, wait_until, workers

    nodes = start(world, tmp_path)
    wait_until(lambda: has_checkpoint(tmp_path, 8), "a checkpoint")
    [rank] = workers(nodes[number].process.pid)
    os.kill(rank, signal.SIGKILL)
    assert finish(nodes) == [0, 0], logs(tmp_path)
    assert [node.starts for node in nodes] == [1, 1], "the agents start processes again, not the machines"
    assert_equal(tmp_path, alone)


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_machine_is_replaced_and_ends_in_the_same_bytes(
    world: Path, alone: Path, tmp_path: Path, number: int
) -> None:
    from nodes import finish, wait_until

    nodes = start(world, tmp_path)
    wait_until(lambda: has_checkpoint(tmp_path, 8), "a checkpoint")
    nodes[number].kill()
    assert finish(nodes, restarts=4) == [0, 0], logs(tmp_path)
    assert nodes[number].starts >= 2
    assert_equal(tmp_path, alone)


def test_a_rank_that_keeps_failing_ends_the_run_with_its_message(world: Path, tmp_path: Path) -> None:
    from nodes import finish

    broken = tmp_path / "world"
    shutil.copytree(world, broken)
    (broken / "kept/kept.jsonl").write_text("{]\n")
    nodes = start(broken, tmp_path, restarts=1)
    assert finish(nodes) == [1, 1], logs(tmp_path)
    assert "kept.jsonl" in (tmp_path / "node-0.log").read_text()
    assert not (tmp_path / "model").exists()


def test_processes_that_cannot_be_spread_are_refused(world: Path, tmp_path: Path) -> None:
    from nodes import PYTHON, Node, finish, free_port, pod_environment

    command = [PYTHON, "-m", "trace_retriever.cli", "train", "--set=train.processes=1"]
    command += [f"--{name}={world / name}" for name in INPUTS]
    node = Node(command, pod_environment(0, 2, free_port(), 1), tmp_path / "node", tmp_path / "node-0.log")
    assert finish([node]) == [1]
    assert "1 processes cannot be spread evenly over 2 machines" in (tmp_path / "node-0.log").read_text()
