"""Requests to vLLM's offline engine, and its answers (written against 0.33; see docs/backends.md).

States leave vLLM by the method `extract_hidden_states` through its example connector, which writes each
request's to a file; they are those before the final norm, which is applied here.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from trace_retriever.engine.backends.frame import FinalNorm
from trace_retriever.engine.backends.waves import Request, Response
from trace_retriever.engine.prompts import Prompt
from trace_retriever.errors import CheckpointError, TraceError
from trace_retriever.io.images import load_image
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.pictures import PatchSpec

BAN = -100.0  # added to a logit
RAM = Path("/dev/shm")
MODELS = ("qwen2_5_vl", "qwen3_vl")  # those from which vLLM extracts states (its interface SupportsEagle3)


class VllmClient:
    """vLLM in this process and its children.

    Args:
        model_dir: the model.
        frame: how pictures are scaled.
        dtype: of the weights.
        options: more of `vllm.LLM`'s arguments.

    Raises:
        ImportError: vLLM is not installed.
        CheckpointError: vLLM does not extract this kind of model's states.
    """

    def __init__(self, model_dir: Path, frame: TraceModel, *, dtype: str, **options: Any) -> None:
        import vllm

        if frame.config.model_type not in MODELS:
            raise CheckpointError(
                f"vLLM hands over no hidden states of {frame.config.model_type}",
                where=model_dir,
                remedy=f"take the backend local or sglang, or one of {', '.join(MODELS)}",
            )
        self._frame = frame
        self._norm = FinalNorm(model_dir, frame.config)
        self._sampling = vllm.SamplingParams
        self._files = tempfile.TemporaryDirectory(prefix="trace-states-", dir=RAM if RAM.is_dir() else None)
        layers = frame.config.get_text_config().num_hidden_layers
        arguments = engine_arguments(model_dir, layers, Path(self._files.name)) | {"dtype": dtype, **options}
        self._engine: Any = vllm.LLM(**arguments)

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answers in order."""
        answers = self._engine.generate(
            [prompt(self._frame, request) for request in requests],
            [self._sampling(**sampling(request)) for request in requests],
            use_tqdm=False,
        )
        return [
            response(request, answer, self._norm(self._state(answer)))
            for request, answer in zip(requests, answers, strict=True)
        ]

    def _state(self, answer: Any) -> torch.Tensor:
        """The state at the last token that was fed, before the final norm [H]."""
        from vllm.distributed.kv_transfer.kv_connector.v1 import example_hidden_states_connector as connector

        path = (answer.kv_transfer_params or {}).get("hidden_states_path")
        if path is None:
            raise TraceError("vLLM wrote no hidden states", remedy="take vllm 0.33 or later")
        states_TLH = connector.load_hidden_states(path)["hidden_states"]
        connector.cleanup_hidden_states(path)
        fed = len(answer.prompt_token_ids) + len(answer.outputs[0].token_ids) - 1
        if len(states_TLH) != fed:
            raise TraceError(f"vLLM wrote {len(states_TLH)} states of {fed}")
        state_H: torch.Tensor = states_TLH[-1, 0]
        return state_H


def engine_arguments(model_dir: Path, layers: int, files: Path) -> dict[str, Any]:
    """What `vllm.LLM` is opened with so that the last layer's states come out."""
    return {
        "model": str(model_dir),
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": 1, "video": 0},
        "speculative_config": {
            "method": "extract_hidden_states",
            "num_speculative_tokens": 1,
            "draft_model_config": {"hf_config": {"eagle_aux_hidden_state_layer_ids": [layers]}},
        },
        "kv_transfer_config": {
            "kv_connector": "ExampleHiddenStatesConnector",
            "kv_role": "kv_producer",
            "kv_connector_extra_config": {"shared_storage_path": str(files)},
        },
    }


def prompt(frame: TraceModel, request: Request) -> dict[str, Any]:
    """A prompt as vLLM takes it: one placeholder a picture, which it expands itself."""
    ids = collapse([*request.prompt.ids, *request.written], frame.image_id)
    found: dict[str, Any] = {"prompt_token_ids": ids}
    if request.prompt.image is not None:
        found["multi_modal_data"] = {"image": scaled(request.prompt, frame.pictures.spec)}
    return found


def collapse(ids: Sequence[int], image_id: int) -> list[int]:
    """Tokens with each run of placeholders cut to one."""
    kept = np.array(ids)
    run = (kept[1:] == image_id) & (kept[:-1] == image_id)
    return [int(token) for token in kept[np.concatenate([[True], ~run])]]


def scaled(prompt: Prompt, spec: PatchSpec) -> Image.Image:
    """A prompt's picture at the size at which it is cut, so that vLLM leaves it as it is."""
    image = prompt.image
    assert image is not None
    opened = image if isinstance(image, Image.Image) else load_image(image.parent, image.name)
    return opened.convert("RGB").resize(spec.size(*opened.size), Image.Resampling.BICUBIC)


def sampling(request: Request) -> dict[str, Any]:
    """Greedy `SamplingParams`; an end of turn is one of the stops, or a token like any other."""
    chosen: dict[str, Any] = {
        "temperature": 0.0,
        "max_tokens": request.limit,
        "stop_token_ids": list(request.stops),
        "ignore_eos": True,
        "detokenize": False,
        "logprobs": 0,  # of the chosen token, before biases
        "extra_args": {"kv_transfer_params": {"include_output_tokens": True}},
    }
    if request.watched is not None:
        chosen |= {"logprobs": None, "logprob_token_ids": [request.watched]}  # beside the chosen one's
    if request.banned is not None:
        chosen["logit_bias"] = {request.banned: BAN}
    return chosen


def response(request: Request, answer: Any, state_H: torch.Tensor) -> Response:
    """Read one answer.

    Args:
        request: what was asked.
        answer: a `vllm.RequestOutput`.
        state_H: the state that chose its last token, after the final norm.
    """
    output = answer.outputs[0]
    tokens = tuple(output.token_ids)
    if request.banned in tokens:
        raise TraceError(f"vLLM chose token {request.banned} against a bias of {BAN}")
    logprobs = tuple(place[token].logprob for token, place in zip(tokens, output.logprobs, strict=True))
    watched = -torch.inf if request.watched is None else output.logprobs[0][request.watched].logprob
    return Response(tokens=tokens, logprobs=logprobs, state_H=state_H, watched=watched)
