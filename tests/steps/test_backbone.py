"""Step `backbone` end to end, at the smallest size."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.model.families import write_checkpoint

from trace_retriever.config import check_section
from trace_retriever.errors import CheckpointError, ConfigError, DataError
from trace_retriever.io.files import digest_file
from trace_retriever.model.bundle import load_model
from trace_retriever.model.items import Item
from trace_retriever.openmoji.lessons import MIX
from trace_retriever.openmoji.world import World
from trace_retriever.runner import run_step
from trace_retriever.step import Metrics

TINY: dict[str, Any] = {
    "tiny": {"hidden": 32, "layers": 1, "heads": 2, "mlp": 32, "vision_hidden": 16, "vision_layers": 1},
    "pretraining": {
        "steps": 8,
        "batch": 12,
        "warmup": 2,
        "processes": 1,
        "exam": 4,
        "checkpoint_every": 2,
        "min_recall": 0.0,
        "words_first": 0.3,
    },
}


def run(dataset: Path, root: Path, **section: Any) -> Metrics:
    return run_step(
        "backbone",
        check_section("backbone", section, where="test"),
        inputs={"dataset": dataset},
        out=root / "model",
        report=root / "report",
        work_root=root / "work",
    )


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)


@pytest.fixture(scope="module")
def trained(made_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    run(made_dataset, root, **TINY)
    return root


@pytest.mark.slow
def test_a_tiny_backbone_is_trained_and_examined(trained: Path, made_dataset: Path) -> None:
    metrics = json.loads((trained / "report/metrics.json").read_text())
    model = load_model(trained / "model")
    assert metrics["parameters"] == sum(weight.numel() for weight in model.network.parameters())
    assert set(metrics["exam"]) == {kind.__name__ for kind, _ in MIX}
    assert all(0 <= share <= 1 for share in metrics["exam"].values())
    assert model.settings.kind == "backbone"
    names = World.load(made_dataset).names
    assert model.trace_text(model.trace_ids(" ".join(names[:5]))) == " ".join(names[:5])
    assert model.prompt_ids(Item(names[0]))[-1] == model.tokenizer.convert_tokens_to_ids("<think>")
    assert list((trained / "report/curves").rglob("*.tsv"))
    assert not list((trained / "work").iterdir())


KILLED = """
import json, sys
from pathlib import Path
from tests.steps.test_backbone import run
run(Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[3]))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bytes(trained: Path, made_dataset: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", KILLED, str(made_dataset), str(tmp_path), json.dumps(TINY)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 280
    while not (found := list(tmp_path.glob("work/*/checkpoints/latest"))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert found[0].is_file()
    assert not (tmp_path / "model").exists()
    metrics = run(made_dataset, tmp_path, **TINY)
    assert metrics == json.loads((trained / "report/metrics.json").read_text())
    for name in ("model.safetensors", "config.json", "tokenizer.json", "trace.json"):
        assert digest_file(tmp_path / "model" / name) == digest_file(trained / "model" / name)


@pytest.mark.slow
def test_a_backbone_that_cannot_look_things_up_is_refused(made_dataset: Path, tmp_path: Path) -> None:
    strict = {**TINY, "pretraining": {**TINY["pretraining"], "steps": 1, "min_recall": 0.9}}
    with pytest.raises(CheckpointError, match=r"looks up \d+% of what it sees; at least 90%"):
        run(made_dataset, tmp_path, **strict)
    assert not (tmp_path / "model").exists()


def test_a_tiny_backbone_needs_a_made_data_set(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="not a made data set"):
        run(tmp_path / "other", tmp_path, **TINY)


def test_a_checkpoint_is_checked_and_adopted(made_dataset: Path, tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "source", "qwen3_vl")
    section = {"source": "checkpoint", "checkpoint": str(source), "max_prompt_tokens": 64, "max_pixels": 4096}
    metrics = run(made_dataset, tmp_path, **section)
    assert metrics["model_type"] == "qwen3_vl"
    assert metrics["licence"] == "apache-2.0"
    assert metrics["weights"] == {"model.safetensors": digest_file(source / "model.safetensors")}
    model = load_model(tmp_path / "model")
    assert (model.settings.max_prompt_tokens, model.settings.max_pixels) == (64, 4096)
    assert model.tokenizer.convert_ids_to_tokens(model.emb_id) == "<|emb|>"


@pytest.mark.parametrize(
    ("section", "error", "message"),
    [
        ({}, ConfigError, "no checkpoint named"),
        ({"checkpoint": "nowhere"}, CheckpointError, "model directory not found"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_refused(
    made_dataset: Path, tmp_path: Path, section: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(made_dataset, tmp_path, source="checkpoint", **section)
    assert not (tmp_path / "model").exists()
