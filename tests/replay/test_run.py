"""The dry run: profile, parameters, memory, operations."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from trace_retriever.config.backbone import BackboneConfig, TinySize
from trace_retriever.config.cluster import load_cluster
from trace_retriever.config.params import load_params, load_section
from trace_retriever.config.train import AdaptParams, TrainConfig
from trace_retriever.errors import ConfigError
from trace_retriever.model.tiny import build_tiny
from trace_retriever.replay.activations import kept
from trace_retriever.replay.assumptions import read_assumptions
from trace_retriever.replay.dry_run import main, samples
from trace_retriever.replay.flops import Shape, hours, work
from trace_retriever.replay.memory import cache_token, state
from trace_retriever.replay.network import PARAMETERS, Counts, adapted, build, counts
from trace_retriever.replay.saved import check
from trace_retriever.replay.workload import Load, draw_shares, mean_update
from trace_retriever.training.adapt import adapt
from trace_retriever.training.worker import recompute_activations


@pytest.fixture(scope="module")
def large(paper: Path) -> tuple[Shape, Counts]:
    network = adapted(build(paper / "qwen2.5-vl-7b.json"), AdaptParams(tuning="lora"))
    assert {weight.device.type for weight in network.parameters()} == {"meta"}
    return Shape.of(network.config), counts(network)


@pytest.fixture
def train(root: Path) -> TrainConfig:
    found = load_section("train", root / "profiles/paper-7b.yaml")
    assert isinstance(found, TrainConfig)
    return found


def test_the_profile_is_valid_and_says_what_the_paper_says(root: Path, train: TrainConfig) -> None:
    profile = root / "profiles/paper-7b.yaml"
    for name in load_params(profile):
        load_section(name, profile)
    assert (train.adapt.tuning, train.adapt.rank, train.adapt.alpha) == ("lora", 128, 256)
    assert (train.lr, train.batch, train.processes) == (2e-4, 1024, 16)
    assert (train.loss.lambda_gen, train.loss.lambda_ret, train.loss.direct_weight) == (1.0, 1.0, 0.0)
    assert train.bf16
    assert train.gradient_checkpointing


def test_the_largest_picture_leaves_room_for_words(root: Path) -> None:
    found = load_section("backbone", root / "profiles/paper-7b.yaml")
    assert isinstance(found, BackboneConfig)
    assert found.max_pixels / 28**2 <= found.max_prompt_tokens / 2


def test_its_steps_are_one_epoch(paper: Path, train: TrainConfig) -> None:
    assert sum(samples(paper).values()) == 1_093_753
    assert train.steps == -(-1_093_753 // train.batch)


def test_the_cluster_has_as_many_gpus_as_the_profile_has_processes(paper: Path, train: TrainConfig) -> None:
    cluster = load_cluster(paper / "cluster.yaml")
    accelerator = cluster.pod("train").accelerator
    assert accelerator is not None
    assert cluster.multi_node.processes_per_node == accelerator.count
    assert cluster.multi_node.nodes * accelerator.count == train.processes


def test_parameters_are_those_of_the_published_checkpoint(large: tuple[Shape, Counts]) -> None:
    found = large[1]
    assert found.total - found.trained["adapters"] - found.trained["row of <|emb|>"] == PARAMETERS
    hidden, kv, mlp = 3584, 512, 18_944
    lora = 128 * 28 * (2 * (hidden + hidden) + 2 * (hidden + kv) + 3 * (hidden + mlp))
    assert found.trained["adapters"] == lora == 322_961_408
    assert found.trained["row of <|emb|>"] == hidden
    assert "vision tower" in found.frozen


def test_zero_splits_more_with_each_stage(large: tuple[Shape, Counts]) -> None:
    found = [state(large[1], 16, stage) for stage in range(4)]
    assert found[0].optimizer == 16 * found[1].optimizer
    assert found[1].gradients == 16 * found[2].gradients
    assert found[2].weights == 16 * found[3].weights
    assert [one.total for one in found] == sorted((one.total for one in found), reverse=True)


def test_a_token_costs_four_a_frozen_weight_and_six_a_trained(
    large: tuple[Shape, Counts],
) -> None:
    shape, found = large
    load = Load(tokens=1.0, visual=0.0, labels=0.0, pairs=0.0, longest=1)
    once = work(shape, found, load, 100, recompute=False)
    layers, adapters = found.frozen["language model"], found.trained["adapters"]
    assert once.useful == 4 * layers + 6 * adapters
    again = work(shape, found, load, 100, recompute=True)
    assert again.recomputed == 2 * (layers + adapters)
    assert again.useful == once.useful
    assert hours(3.6e15, 1000, 10, 1e14, 0.5) == pytest.approx(2.0)


def test_the_cache_of_a_position(large: tuple[Shape, Counts]) -> None:
    assert cache_token(large[0]) == 2 * 28 * 4 * 128 * 2


def test_draws_follow_the_papers_routes(paper: Path) -> None:
    drawn = samples(paper)
    shares = draw_shares(drawn)
    assert sum(shares.values()) == pytest.approx(1)
    complex_share = sum(share for pair, share in shares.items() if pair.is_complex)
    assert complex_share == pytest.approx(drawn["complex"] / sum(drawn.values()))


def test_an_update_is_as_large_as_its_rows(paper: Path) -> None:
    tokens, drawn = read_assumptions(paper / "run.yaml").tokens, samples(paper)
    short, long = (mean_update(1024, drawn, tokens, trace) for trace in (0, 100))
    traced = 1024 * drawn["complex"] / sum(drawn.values())
    assert long.tokens - short.tokens == pytest.approx(100 * traced)
    assert short.labels == pytest.approx(1024)
    assert short.times(0.5).tokens == short.tokens / 2


def test_recomputing_and_smaller_parts_keep_less(large: tuple[Shape, Counts]) -> None:
    rows: dict[str, Any] = {"tokens": 1e4, "visual": 4e3, "labels": 1e3}
    full = kept(large[0], 128, **rows, parts=8, recompute=False)
    again, whole = (kept(large[0], 128, **rows, parts=parts, recompute=True) for parts in (8, 1))
    assert again.peak < whole.peak < full.peak
    assert again.stored == whole.stored


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("recompute", [False, True])
def test_the_formula_of_activations_holds_in_real_passes(dtype: torch.dtype, recompute: bool) -> None:
    network: Any = build_tiny(TinySize(), ["word"], pixels=48, seed=0).network.to(dtype)
    adapt(network, AdaptParams(tuning="lora", rank=8, alpha=16))
    if recompute:
        recompute_activations(network)
    found = check(network.train(), 8, rows=4, length=128, recompute=recompute)
    assert found["ratio"] == pytest.approx(1, abs=0.05)


def test_assumptions_name_what_is_wrong(paper: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "run.yaml"
    wrong.write_text((paper / "run.yaml").read_text().replace("padding: 1.15", "padding: 0.5"))
    with pytest.raises(ConfigError, match="padding"):
        read_assumptions(wrong)
    with pytest.raises(ConfigError, match="not found"):
        read_assumptions(tmp_path / "none.yaml")


def test_the_command_says_hours_and_what_they_cost(root: Path, paper: Path, train: TrainConfig) -> None:
    options = ["--run", paper / "run.yaml", "--config", paper / "qwen2.5-vl-7b.json", "--tables", paper]
    words = ["--profile", root / "profiles/paper-7b.yaml", *options, "--price", "2"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    spent = json.loads(done.output)["traces"]["middle"]["devices"]["H20"]
    assert spent["hours"][0] < spent["hours"][1]
    assert spent["cost"] == pytest.approx([2 * train.processes * value for value in spent["hours"]])
