"""A run that was broken off and continued ends as one that was not, bit for bit."""

import json
from pathlib import Path

import pytest
import torch

from trace_retriever.training.launch import launch

STAGES = (0, 2, 3)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("loop")
    job = root / "job.json"
    job.write_text(json.dumps({"root": str(root), "stages": STAGES}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        launch("loop_worker", job, processes=2)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_continued_run_is_equal_bit_for_bit(fitted: Path, stage: int) -> None:
    whole, broken = fitted / f"whole-{stage}", fitted / f"broken-{stage}"
    results = [json.loads((run / "fitted.json").read_text()) for run in (whole, broken)]
    assert results[0] == results[1]
    assert (whole / "best.safetensors").read_bytes() == (broken / "best.safetensors").read_bytes()
    names = sorted(file.name for file in (whole / "checkpoints/step-00000020").iterdir())
    assert names == sorted(file.name for file in (broken / "checkpoints/step-00000020").iterdir())
    for name in names:
        if name.endswith("model_states.pt"):
            states = [
                torch.load(run / "checkpoints/step-00000020" / name, weights_only=False)
                for run in (whole, broken)
            ]
            for key, weight in states[0]["module"].items():
                assert torch.equal(weight, states[1]["module"][key]), key


@pytest.mark.slow
def test_best_checkpoints_and_curves(fitted: Path) -> None:
    step, score, history = json.loads((fitted / "whole-0/fitted.json").read_text())
    assert (step, score) == (6, 1.0)  # equal scores later do not replace the first
    assert [point["step"] for point in history if "loss" in point] == [3, 6, 9, 12, 15, 18, 20]
    assert [point["step"] for point in history if "val_score" in point] == [6, 12, 18, 20]
    kept = sorted(file.name for file in (fitted / "whole-0/checkpoints").iterdir())
    assert kept == ["latest", "step-00000016", "step-00000020"]
    curve = (fitted / "broken-0/curves/plots/metrics/loss.tsv").read_text()
    assert curve == (fitted / "whole-0/curves/plots/metrics/loss.tsv").read_text()
    assert [line.split("\t")[0] for line in curve.splitlines()] == [
        "step",
        "3",
        "6",
        "9",
        "12",
        "15",
        "18",
        "20",
    ]
