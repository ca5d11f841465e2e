"""A client for `Waves` that computes every token by a plain forward over all that stands before it."""

from collections.abc import Sequence

import torch

from trace_retriever.engine.backends.waves import Request, Response
from trace_retriever.model.batch import pad
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, logits


class PlainClient:
    """Slow and simple: what any server is held against."""

    def __init__(self, model: TraceModel) -> None:
        self.model = model
        self.asked: list[Request] = []

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        self.asked += requests
        return [self._one(request) for request in requests]

    @torch.inference_mode()
    def _one(self, request: Request) -> Response:
        tokens: list[int] = []
        logprobs: list[float] = []
        watched = -torch.inf
        while True:
            state_H = self._state(request, tokens)
            scores_V = logits(self.model.network, state_H).log_softmax(-1)
            if request.watched is not None and not tokens:
                watched = float(scores_V[request.watched])
            open_V = scores_V.clone()
            if request.banned is not None:
                open_V[request.banned] = -torch.inf
            tokens.append(int(open_V.argmax()))
            logprobs.append(float(scores_V[tokens[-1]]))
            if len(tokens) == request.limit or tokens[-1] in request.stops:
                return Response(
                    tokens=tuple(tokens), logprobs=tuple(logprobs), state_H=state_H, watched=watched
                )

    def _state(self, request: Request, tokens: Sequence[int]) -> torch.Tensor:
        model, prompt = self.model, request.prompt
        ids = [*prompt.ids, *request.written, *tokens]
        merge = model.pictures.spec.merge_size
        batch = pad([ids], [prompt.grid], model.image_id, model.pad_id, merge, "right")
        if prompt.image is not None:
            patches = model.pictures.read(prompt.image)
            batch["pixel_values"] = patches.values
            batch["image_grid_thw"] = torch.tensor([(1, *patches.grid)])
        return hidden_states(model.network, batch)[0, -1]
