"""The GPU benchmark at its tiny size on the CPU: it measures, and says what it would."""

import json
from pathlib import Path

import gpu  # type: ignore[import-not-found]
import pytest
import torch
from click.testing import CliRunner
from gpu_sections import SECTIONS  # type: ignore[import-not-found]
from gpu_training import made_batch  # type: ignore[import-not-found]
from shapes import TINY_SIZES, build, queries, tokens_of  # type: ignore[import-not-found]

from trace_retriever.engine.engine import Engine
from trace_retriever.model.forward import hidden_states
from trace_retriever.model.tiny import build_tiny


def run(*arguments: str) -> int:
    return CliRunner().invoke(gpu.main, arguments, catch_exceptions=False).exit_code


def test_every_section_leaves_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    assert run("--tiny", "--seconds", "1", "--repeats", "1", "--out", str(out)) == 0
    content = json.loads(out.read_text())
    assert set(content["sections"]) == set(SECTIONS)
    assert {"machine", "versions", "command", "seed"} <= set(content)
    sections = content["sections"]
    assert 0 < sections["encode"]["queries"][0]["roofline_fraction"] < 1
    assert sections["reasoning"]["slots"][0]["decode_row_steps_of_needed"] == 1
    assert {one["gradient_checkpointing"] for one in sections["training"]["steps"]} <= {True, False}


def test_a_section_is_measured_again_and_the_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    options = ("--tiny", "--repeats", "1", "--out", str(out), "--only")
    assert run(*options, "device") == 0
    first = json.loads(out.read_text())["sections"]["device"]
    assert run(*options, "search") == 0
    sections = json.loads(out.read_text())["sections"]
    assert sections["device"] == first
    assert set(sections) == {"device", "search"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_it_would_measure(tmp_path: Path) -> None:
    answer = CliRunner().invoke(gpu.main, ["--out", str(tmp_path / "gpu.json")])
    assert answer.exit_code == 2
    assert all(name in answer.output for name in SECTIONS)
    assert not (tmp_path / "gpu.json").exists()


def test_a_chain_s_figures_are_added(tmp_path: Path) -> None:
    report = tmp_path / "work/results/evaluate"
    report.mkdir(parents=True)
    (report / "metrics.json").write_text('{"average": 0.5}')
    (report / "manifest.json").write_text('{"seconds": 3, "machine": {"cpus": 2}}')
    out = tmp_path / "gpu.json"
    assert run("--chain", str(tmp_path / "work"), "--out", str(out)) == 0
    chain = json.loads(out.read_text())["sections"]["openmoji"]
    assert chain["evaluate"]["metrics"] == {"average": 0.5}


def test_traces_of_the_drawn_network_end_at_the_limit() -> None:
    model = build(torch.device("cpu"), tiny=True)
    items = queries(TINY_SIZES, 4, model.pictures.spec)
    found = list(Engine(model, max_trace_tokens=7).encode(items, reason="always"))
    assert [one.trace_tokens for one in found] == [7] * 4
    assert {one.fallback for one in found} == {""}
    assert {visual for _, visual in tokens_of(model, items)} == {TINY_SIZES.visual}


def test_the_drawn_network_computes_as_one_that_transformers_drew() -> None:
    """Weights copied over, states are equal: no buffer was lost on the way."""
    from shapes import TINY, WORDS, small_config

    model = build(torch.device("cpu"), tiny=True)
    other = build_tiny(TINY, [f"w{number}" for number in range(WORDS)], pixels=64, seed=0)
    assert small_config().text_config.hidden_size == other.dim
    other.network.get_submodule("model").load_state_dict(model.network.get_submodule("model").state_dict())
    batch = made_batch(model, TINY_SIZES, 2).chunks[0].batch
    with torch.no_grad():
        torch.testing.assert_close(hidden_states(model.network, batch), hidden_states(other.network, batch))
