"""Step `train` end to end, at the smallest size."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trace_retriever.config import check_section
from trace_retriever.errors import ConfigError, ValidationFailed
from trace_retriever.model.bundle import load_model
from trace_retriever.runner import run_step

TRAINING = Path(__file__).parent.parent / "training"
sys.path.insert(0, str(TRAINING))

from world import make_backbone, make_world  # type: ignore[import-not-found]  # noqa: E402

QUICK = {
    "steps": 24,
    "batch": 8,
    "warmup": 2,
    "processes": 1,
    "checkpoint_every": 4,
    "log_every": 2,
    "sampling": {"group": 2},
    "loss": {"direct_weight": 0.0},
    "validation": {"every": 12, "queries": 3},
}
INPUTS = ("dataset", "routes", "kept", "validation", "backbone")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make_world(root)
    make_backbone(root / "backbone")
    return root


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)


def train(world: Path, root: Path, **changes: Any) -> dict[str, Any]:
    return run_step(
        "train",
        check_section("train", {**QUICK, **changes}, where="test"),
        inputs={name: world / name for name in INPUTS},
        out=root / "model",
        report=root / "report",
        work_root=root / "work",
    )


@pytest.fixture(scope="module")
def trained(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("trained")
    return root, train(world, root)


@pytest.mark.slow
def test_it_leaves_a_model_curves_and_metrics(trained: tuple[Path, dict[str, Any]]) -> None:
    root, metrics = trained
    model = load_model(root / "model")
    assert model.settings.kind == "trace"
    assert metrics == json.loads((root / "report/metrics.json").read_text())
    assert metrics["samples_seen"] == 24 * 8
    assert metrics["dropped"] == {}
    assert metrics["best_step"] in (12, 24)
    assert 0 <= metrics["validation"]["val_routing"] <= 1
    assert metrics["final"]["loss"] == pytest.approx(metrics["final"]["ce"] + metrics["final"]["info_nce"])
    losses = (root / "report/curves/plots/metrics/loss.tsv").read_text().splitlines()
    assert float(losses[-1].split()[1]) < float(losses[1].split()[1])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_ends_in_the_same_bytes(
    world: Path, trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    arguments = [f"--{name}={world / name}" for name in INPUTS]
    (tmp_path / "params.yaml").write_text(json.dumps({"train": QUICK}))
    command = [sys.executable, "-m", "trace_retriever.cli", "train", *arguments]
    command += [f"--out={tmp_path / 'model'}", f"--report={tmp_path / 'report'}"]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob(".trace/work/*/checkpoints/step-*08")):
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (tmp_path / "model").exists()
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    root, metrics = trained
    for name in sorted(file.name for file in (root / "model").iterdir()):
        assert (tmp_path / "model" / name).read_bytes() == (root / "model" / name).read_bytes(), name
    assert json.loads((tmp_path / "report/metrics.json").read_text()) == metrics
    for curve in sorted((root / "report/curves/plots/metrics").iterdir()):
        assert (tmp_path / "report/curves/plots/metrics" / curve.name).read_bytes() == curve.read_bytes(), (
            curve
        )


@pytest.mark.slow
def test_the_encoder_under_zero_3_with_lora_in_two_processes(world: Path, tmp_path: Path) -> None:
    lora = {"tuning": "lora", "rank": 4, "alpha": 8}
    metrics = train(world, tmp_path, variant="encoder", zero_stage=3, processes=2, adapt=lora, steps=6)
    model = load_model(tmp_path / "model")
    assert model.settings.kind == "encoder"
    assert metrics["final"]["ce"] == 0
    assert "val_routing" not in metrics["validation"]
    assert metrics["trainable"] < metrics["weights"]
    assert not any("lora" in name for name, _ in model.network.named_parameters())


def test_data_that_failed_validation_are_refused(world: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world, tmp_path / "world"))
    verdict = {
        "success": False,
        "suites": [{"name": "traces", "success": False}, {"name": "qrels", "success": True}],
    }
    (copy / "validation/validation.json").write_text(json.dumps(verdict))
    with pytest.raises(ValidationFailed, match="did not pass validation: traces"):
        train(copy, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 9, "processes": 2}, "multiple of processes"),
        ({"zero_stage": 3, "grad_cache_chunk": 4}, "ZeRO 0 to 2"),
        ({"zero_stage": 4}, "zero_stage"),
    ],
)
def test_params_that_cannot_work_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_section("train", {**QUICK, **changes}, where="test")
