"""Requests to SGLang's offline engine, and its answers (written against 0.5.23; see docs/backends.md).

Its hidden states are those after the final norm. Pictures go as the processor's output, so that SGLang cuts
nothing itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trace_retriever.engine.backends.waves import Request, Response
from trace_retriever.engine.prompts import Prompt
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import TraceModel


class SglangClient:
    """SGLang in this process and its children.

    Args:
        model_dir: the model.
        frame: how pictures are cut.
        dtype: of the weights.
        options: more of `sglang.Engine`'s arguments.

    Raises:
        ImportError: SGLang is not installed.
    """

    def __init__(self, model_dir: Path, frame: TraceModel, *, dtype: str, **options: Any) -> None:
        import sglang

        self._frame = frame
        arguments = {"return_hidden_states_mode": "last", "enable_multimodal": True, **options}
        self._engine: Any = sglang.Engine(model_path=str(model_dir), dtype=dtype, **arguments)

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answers in order. Requests with and without a picture go apart: SGLang tells by the first one."""
        found: dict[int, Response] = {}
        for seen in (False, True):
            rows = [n for n, request in enumerate(requests) if (request.prompt.image is not None) == seen]
            if rows:
                answers = self._engine.generate(**arguments(self._frame, [requests[row] for row in rows]))
                found |= {row: response(requests[row], one) for row, one in zip(rows, answers, strict=True)}
        return [found[number] for number in range(len(requests))]

    def close(self) -> None:
        """End SGLang's processes."""
        self._engine.shutdown()


def arguments(frame: TraceModel, requests: Sequence[Request]) -> dict[str, Any]:
    """What `sglang.Engine.generate` is called with; all requests have a picture, or none."""
    chosen: dict[str, Any] = {
        "input_ids": [[*request.prompt.ids, *request.written] for request in requests],
        "sampling_params": [sampling(request) for request in requests],
        "return_logprob": True,
        "logprob_start_len": -1,  # of written tokens only
        "top_logprobs_num": [0 if request.banned is None else 2 for request in requests],
        "token_ids_logprob": [None if request.watched is None else [request.watched] for request in requests],
        "return_hidden_states": "last",
    }
    if requests[0].prompt.image is not None:
        chosen["image_data"] = [[picture(frame, request.prompt)] for request in requests]
    return chosen


def sampling(request: Request) -> dict[str, Any]:
    """Greedy; an end of turn is one of the stops, or a token like any other."""
    return {
        "temperature": 0.0,
        "max_new_tokens": request.limit,
        "stop_token_ids": list(request.stops),
        "ignore_eos": not request.stops,
        "skip_special_tokens": False,
        "no_stop_trim": True,
    }


def picture(frame: TraceModel, prompt: Prompt) -> dict[str, Any]:
    """A prompt's picture in the form of a processor's output."""
    assert prompt.image is not None
    patches = prompt.patches or frame.pictures.read(prompt.image, remember=False)
    grid = torch.tensor([[1, *patches.grid]])
    return {"format": "processor_output", "pixel_values": patches.values, "image_grid_thw": grid}


def response(request: Request, answer: dict[str, Any]) -> Response:
    """Read one answer: its tokens are told by their log-probabilities, the stop among them."""
    about = answer["meta_info"]
    logprobs, tokens = zip(*((entry[0], entry[1]) for entry in about["output_token_logprobs"]), strict=True)
    watched = about["output_token_ids_logprobs"][0][0][0] if request.watched is not None else -torch.inf
    if request.banned is not None:
        # One of the two most probable tokens is another than the banned one.
        best = next(entry for entry in about["output_top_logprobs"][0] if entry[1] != request.banned)
        logprobs, tokens = (best[0],), (best[1],)
    return Response(
        tokens=tuple(tokens),
        logprobs=tuple(logprobs),
        state_H=last_state(about.get("hidden_states")),
        watched=float(watched),
    )


def last_state(states: Any) -> torch.Tensor:
    """The last state, whether SGLang sends it alone, or after those of the prompt [T, H] and of each step."""
    if not states:
        raise TraceError("SGLang sent no hidden states", remedy="take sglang 0.5.23 or later")
    while isinstance(states[0], list | tuple) or isinstance(states[-1], list | tuple):
        states = states[-1]
    return torch.tensor(states, dtype=torch.float32)
