"""The `kserve.Model`: both protocols' requests to the service, and its answers back."""

from collections.abc import Mapping
from typing import Any

from trace_retriever.serving.errors import BadRequest
from trace_retriever.serving.instances import read_instances, write_predictions
from trace_retriever.serving.options import read_options
from trace_retriever.serving.sdk import (
    InferRequest,
    InferResponse,
    Model,
    RequestedOutput,
    to_http_parameters,
)
from trace_retriever.serving.service import Service
from trace_retriever.serving.tensors import ALWAYS, FOUND, INPUTS, read_queries, write_answers


class ServedModel(Model):  # type: ignore[misc]
    """A model that any of KServe's servers can hold.

    Args:
        name: on the wire.
        service: what answers; started and drained by its owner.
    """

    def __init__(self, name: str, service: Service) -> None:
        super().__init__(name)
        self.service = service

    async def healthy(self) -> bool:
        """Whether it takes requests: warm, alive, and not stopping."""
        return self.service.ready

    def load(self) -> bool:
        """KServe's data plane calls this where a model is not ready; there is nothing that could help."""
        return self.service.ready

    async def predict(
        self, payload: Mapping[str, Any] | InferRequest, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        """Answer `instances` with `predictions`, and an `InferRequest` with an `InferResponse`.

        Raises:
            BadRequest, DataError, Busy, DeadlineExceeded, Broken: see `Service.answer`.
        """
        settings = self.service.settings
        if not isinstance(payload, InferRequest):
            asked, options = read_instances(payload, settings)
            return write_predictions(await self.service.answer(asked, options))
        options = read_options(to_http_parameters(payload.parameters or {}), settings)
        wanted = _wanted(payload.request_outputs, options.k)
        answers = await self.service.answer(read_queries(payload.inputs, settings), options)
        outputs = [one for one in write_answers(answers) if wanted is None or one.name in wanted]
        if payload.from_grpc:  # KServe's own conversion asks an array whether it is true
            for one in outputs:
                one.set_data_from_numpy(one.data, binary_data=True)
        identity = self.service.identity
        return InferResponse(
            response_id=payload.id or (headers or {}).get("x-request-id", ""),
            model_name=self.name,
            model_version=identity.version,
            infer_outputs=outputs,
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )

    def get_input_types(self) -> list[dict[str, Any]]:
        """The inputs, all of them optional but that text or image is there."""
        return [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in INPUTS]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The outputs; the last three come with results only."""
        dim = self.service.worker.frame.dim
        shapes: dict[str, list[int]] = {"embedding": [-1, dim], **{name: [-1, -1] for name in FOUND}}
        kinds = {**ALWAYS, **(FOUND if self.service.retriever is not None else {})}
        return [
            {"name": name, "datatype": kind, "shape": shapes.get(name, [-1])} for name, kind in kinds.items()
        ]


def _wanted(requested: list[RequestedOutput] | None, k: int) -> set[str] | None:
    """Names of the outputs that are asked for; None for all of them."""
    if not requested:
        return None
    wanted = {one.name for one in requested}
    known = {*ALWAYS, *(FOUND if k else {})}
    if unknown := sorted(wanted - known):
        remedy = f"outputs are {', '.join([*ALWAYS, *FOUND])}, the last three with parameter k"
        raise BadRequest(f"no output {unknown[0]!r} here", where="outputs", remedy=remedy)
    return wanted
