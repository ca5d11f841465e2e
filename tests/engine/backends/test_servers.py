"""Requests to SGLang and vLLM and the reading of their answers, without either: their forms are data."""

import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.model.families import build

from trace_retriever.engine.backends import open_backend, sglang, vllm
from trace_retriever.engine.backends.frame import FinalNorm, load_frame
from trace_retriever.engine.backends.waves import Request
from trace_retriever.engine.choose import special_ids
from trace_retriever.engine.prompts import Prompt, plan_prompts
from trace_retriever.errors import CheckpointError, ConfigError, TraceError
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


@pytest.fixture(scope="module")
def frame(directory: Path) -> TraceModel:
    return load_frame(directory)


@pytest.fixture(scope="module")
def prompts(frame: TraceModel, items: Sequence[Item]) -> list[Prompt]:
    with ThreadPoolExecutor(1) as pool:
        return plan_prompts(frame, items[:3], pool)


def test_a_frame_prompts_as_the_model_does(
    frame: TraceModel, model: TraceModel, prompts: list[Prompt], items: Sequence[Item]
) -> None:
    assert [prompt.ids for prompt in prompts] == [model.prompt_ids(item) for item in items[:3]]
    assert special_ids(frame) == special_ids(model)
    assert (frame.emb_id, frame.image_id, frame.dim) == (model.emb_id, model.image_id, model.dim)
    assert not list(frame.network.parameters())


def test_the_final_norm_is_the_network_s(directory: Path, model: TraceModel) -> None:
    states = torch.randn(3, model.dim)
    network: Any = model.network
    with torch.no_grad():
        network.model.language_model.norm.weight.uniform_(0.5, 2)
        expected = network.model.language_model.norm(states)
    norm = FinalNorm(directory, model.config)
    norm.weight_H = network.model.language_model.norm.weight.detach().clone()
    torch.testing.assert_close(norm(states), expected)
    network.model.language_model.norm.weight.data.fill_(1.0)
    assert torch.equal(FinalNorm(directory, model.config).weight_H, torch.ones(model.dim))


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_the_final_norm_is_found_in_every_family(family: str, tmp_path: Path) -> None:
    model = build(family)
    weight = model.network.get_parameter("model.language_model.norm.weight")
    with torch.no_grad():
        weight.copy_(torch.arange(len(weight)))
    model.save(tmp_path)
    assert torch.equal(FinalNorm(tmp_path, model.config).weight_H, weight)


def test_sglang_is_asked_for_tokens_states_and_the_watched_one(
    frame: TraceModel, prompts: list[Prompt]
) -> None:
    text, picture = prompts[0], prompts[1]
    asked = sglang.arguments(frame, [Request(prompt=text, watched=7), Request(prompt=text, banned=7)])
    assert asked["input_ids"] == [text.ids, text.ids]
    assert asked["token_ids_logprob"] == [[7], None]
    assert asked["top_logprobs_num"] == [0, 2]
    assert asked["return_hidden_states"] == "last"
    assert "image_data" not in asked
    onward = Request(prompt=picture, written=(9,), limit=5, stops=(7, 2))
    asked = sglang.arguments(frame, [onward])
    assert asked["input_ids"] == [[*picture.ids, 9]]
    assert (
        asked["sampling_params"][0] | {"stop_token_ids": [7, 2], "max_new_tokens": 5}
        == (asked["sampling_params"][0])
    )
    [[data]] = asked["image_data"]
    assert data["format"] == "processor_output"
    assert picture.grid is not None
    assert data["image_grid_thw"].tolist() == [[1, *picture.grid]]
    assert len(data["pixel_values"]) == picture.grid[0] * picture.grid[1]


def sglang_answer(**more: Any) -> dict[str, Any]:
    """As SGLang 0.5.23 forms it: (log-probability, token, text)."""
    about = {"output_token_logprobs": [(-0.5, 4, None), (-0.25, 7, None)], "hidden_states": [3.0, 4.0]}
    return {"text": "", "output_ids": [4], "meta_info": about | more}


def test_sglang_s_answer_is_read(prompts: list[Prompt]) -> None:
    read = sglang.response(Request(prompt=prompts[0], limit=5), sglang_answer())
    assert (read.tokens, read.logprobs) == ((4, 7), (-0.5, -0.25))
    assert read.state_H.tolist() == [3.0, 4.0]
    first = sglang_answer(output_token_ids_logprobs=[[(-2.0, 7, None)]])
    assert sglang.response(Request(prompt=prompts[0], watched=7), first).watched == -2.0
    second = sglang_answer(output_top_logprobs=[[(-0.1, 7, None), (-2.5, 3, None)]])
    read = sglang.response(Request(prompt=prompts[0], banned=7), second)
    assert (read.tokens, read.logprobs) == ((3,), (-2.5,))


@pytest.mark.parametrize(
    "states", [[3.0, 4.0], [[3.0, 4.0]], [[[1.0, 2.0], [3.0, 4.0]]], [[[1.0, 2.0]], [3.0, 4.0]]]
)
def test_sglang_s_last_state_is_found_in_every_form(states: Any) -> None:
    assert sglang.last_state(states).tolist() == [3.0, 4.0]


def test_sglang_without_states_is_an_error() -> None:
    with pytest.raises(TraceError, match="no hidden states"):
        sglang.last_state(None)


def test_vllm_is_given_one_placeholder_a_picture(frame: TraceModel, prompts: list[Prompt]) -> None:
    picture = prompts[1]
    asked = vllm.prompt(frame, Request(prompt=picture, written=(9,)))
    ids = asked["prompt_token_ids"]
    assert ids.count(frame.image_id) == 1
    assert picture.ids.count(frame.image_id) > 1
    assert ids[-1] == 9
    image = asked["multi_modal_data"]["image"]
    assert frame.pictures.spec.size(*image.size) == image.size
    assert frame.pictures.grid(image.size) == picture.grid
    assert vllm.prompt(frame, Request(prompt=prompts[0])) == {"prompt_token_ids": prompts[0].ids}


def test_vllm_s_sampling_is_greedy_and_keeps_the_written_tokens_states(prompts: list[Prompt]) -> None:
    onward = vllm.sampling(Request(prompt=prompts[0], limit=5, stops=(7, 2)))
    assert (onward["temperature"], onward["max_tokens"], onward["stop_token_ids"]) == (0.0, 5, [7, 2])
    assert onward["extra_args"]["kv_transfer_params"] == {"include_output_tokens": True}
    assert vllm.sampling(Request(prompt=prompts[0], watched=7))["logprob_token_ids"] == [7]
    assert vllm.sampling(Request(prompt=prompts[0], banned=7))["logit_bias"] == {7: vllm.BAN}


def vllm_answer(tokens: list[int], places: list[dict[int, float]]) -> Any:
    """As vLLM's `RequestOutput` holds it."""
    logprobs = [{token: SimpleNamespace(logprob=value) for token, value in place.items()} for place in places]
    return SimpleNamespace(outputs=[SimpleNamespace(token_ids=tokens, logprobs=logprobs)])


def test_vllm_s_answer_is_read(prompts: list[Prompt]) -> None:
    answer = vllm_answer([4, 7], [{4: -0.5, 7: -2.0}, {7: -0.25}])
    read = vllm.response(Request(prompt=prompts[0], limit=5, watched=7), answer, torch.ones(2))
    assert (read.tokens, read.logprobs, read.watched) == ((4, 7), (-0.5, -0.25), -2.0)
    with pytest.raises(TraceError, match="against a bias"):
        vllm.response(Request(prompt=prompts[0], banned=7), answer, torch.ones(2))


def test_vllm_is_opened_for_the_last_layer_s_states(tmp_path: Path) -> None:
    asked = vllm.engine_arguments(tmp_path / "model", 28, tmp_path)
    draft = asked["speculative_config"]["draft_model_config"]
    assert draft == {"hf_config": {"eagle_aux_hidden_state_layer_ids": [28]}}
    assert asked["kv_transfer_config"]["kv_connector_extra_config"] == {"shared_storage_path": str(tmp_path)}


def test_a_picture_with_other_tokens_around_is_collapsed() -> None:
    assert vllm.collapse([1, 5, 5, 5, 2, 5, 3, 3], image_id=5) == [1, 5, 2, 5, 3, 3]


@pytest.mark.parametrize("name", ["sglang", "vllm"])
def test_a_server_that_is_not_installed_is_named_with_the_remedy(name: Any, directory: Path) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    with pytest.raises(ConfigError, match=name) as caught:
        open_backend(name, directory)
    assert "backends.md" in (caught.value.remedy or "")


def test_a_backend_that_does_not_exist_is_an_error(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown backend"):
        open_backend("magic", directory)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError):
        open_backend("vllm", tmp_path / "nothing")
