"""Two processes, any ZeRO stage and gradient caching all give the gradient of one plain forward."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trace_retriever.training.launch import launch

CASES = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 5), (2, 5)]
NAMES = [f"zero{stage}-chunk{chunk}" for stage, chunk in CASES]
Run = tuple[dict[str, list[float]], Callable[[str], dict[str, torch.Tensor]]]


def run(world: Path, folder: Path, processes: int, cases: list[tuple[int, int]]) -> Run:
    job = folder / "job.json"
    job.write_text(json.dumps({"root": str(world), "out": str(folder), "cases": cases}))
    launch("gradients_worker", job, processes=processes)
    losses = json.loads((folder / "losses.json").read_text())
    return losses, lambda name: load_file(folder / f"{name}.safetensors")


@pytest.fixture(scope="module")
def one(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        return run(world, tmp_path_factory.mktemp("one"), 1, CASES)


@pytest.fixture(scope="module")
def two(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        return run(world, tmp_path_factory.mktemp("two"), 2, CASES)


def assert_same_gradient(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        difference = float((found[name] - gradient).abs().max())
        assert difference <= 1e-5 * largest + 1e-4 * float(gradient.abs().max()), name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_process(one: Run, name: str) -> None:
    assert_same_gradient(one[1](name), one[1]("zero0-chunk0"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_processes(one: Run, two: Run, name: str) -> None:
    assert_same_gradient(two[1](name), one[1]("zero0-chunk0"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_losses_agree_over_updates(one: Run, two: Run, name: str) -> None:
    expected = one[0]["zero0-chunk0"]
    assert expected[0] != pytest.approx(expected[-1], abs=1e-3)  # the weights moved
    assert one[0][name] == pytest.approx(expected, rel=1e-4)
    assert two[0][name] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_every_weight_gets_a_gradient(one: Run) -> None:
    for name, gradient in one[1]("zero0-chunk0").items():
        assert gradient.abs().max() > 0, name
