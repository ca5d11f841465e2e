"""A REST request's body: bounded in size and time, then an `InferRequest`, its binary tensors still bytes.

KServe's own `InferRequest.from_bytes` reads every BYTES tensor as UTF-8, so that no picture passes.
"""

import asyncio
import json
import struct
from collections.abc import Iterator
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
)
from starlette.requests import ClientDisconnect, Request

from trace_retriever.config.serve import ServeSettings
from trace_retriever.io.jsonl import describe
from trace_retriever.serving.errors import BadRequest, TooLarge
from trace_retriever.serving.sdk import InferInput, InferRequest, RequestedOutput

JSON_LENGTH = "inference-header-content-length"
Parameters = dict[str, StrictBool | StrictInt | StrictFloat | StrictStr]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InputTensor(_Part):
    """An input; its data here, or behind the JSON with parameter `binary_data_size`."""

    name: StrictStr
    shape: list[StrictInt] = Field(min_length=1, max_length=2)
    datatype: StrictStr
    parameters: Parameters | None = None
    data: list[Any] | None = None


class OutputTensor(_Part):
    """An output that is asked for; parameter `binary_data` has it behind the JSON."""

    name: StrictStr
    parameters: Parameters | None = None


class InferBody(_Part):
    """The JSON of an inference request."""

    id: StrictStr | None = None
    model_name: StrictStr | None = None
    model_version: StrictStr | None = None
    parameters: Parameters | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=8)
    outputs: list[OutputTensor] | None = Field(None, max_length=16)


async def read_body(request: Request, settings: ServeSettings) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is larger than the settings allow, by its header or in fact.
        BadRequest: it does not arrive in time.
        CancelledError: the client is gone.
    """
    most = settings.max_body_bytes
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > most:
        raise TooLarge(f"a body of {int(told):,} bytes; the limit is {most:,}")
    parts, size = [], 0
    try:
        async with asyncio.timeout(settings.body_seconds):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise TooLarge(f"a body of more than {most:,} bytes")
    except TimeoutError:
        raise BadRequest(f"the body did not arrive within {settings.body_seconds:g} s") from None
    except ClientDisconnect:
        raise asyncio.CancelledError from None
    return b"".join(parts)


def read_json_body(body: bytes) -> Any:
    """JSON without the numbers that are none (NaN, Infinity).

    Raises:
        BadRequest: it is not JSON, or nested too deep.
    """
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"not valid JSON: {type(error).__name__}", where="body") from None


def read_infer_request(body: bytes, json_length: str | None, name: str) -> InferRequest:
    """An inference request from its JSON and the binary tensors behind it.

    Args:
        body: the whole.
        json_length: header `Inference-Header-Content-Length`; None where all is JSON.
        name: of the model.

    Raises:
        BadRequest: it breaks the schema, or sizes do not add up.
    """
    length = _length(json_length, len(body))
    try:
        head = InferBody.model_validate(read_json_body(body[:length]))
    except ValidationError as error:
        raise BadRequest(describe(error), where="body", remedy="see /openapi.json") from None
    binary = body[length:]
    inputs, at = [], 0
    for one in head.inputs:
        size = (one.parameters or {}).get("binary_data_size")
        if size is None:
            inputs.append(_input(one, one.data))
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(binary) - at:
            raise BadRequest(
                f"binary_data_size {size!r} of {len(binary) - at} bytes left", where=f"input {one.name}"
            )
        inputs.append(_input(one, list(_elements(binary[at : at + size], one.name))))
        at += size
    if at < len(binary):
        raise BadRequest(f"{len(binary) - at} bytes behind the last tensor", where="body")
    outputs = (
        None if head.outputs is None else [RequestedOutput(one.name, one.parameters) for one in head.outputs]
    )
    return InferRequest(name, inputs, request_id=head.id, parameters=head.parameters, request_outputs=outputs)


def _length(told: str | None, size: int) -> int:
    if told is None:
        return size
    if not (told.isascii() and told.isdecimal() and int(told) <= size):
        raise BadRequest(f"{told[:20]!r} of {size} bytes are JSON", where=f"header {JSON_LENGTH}")
    return int(told)


def _input(one: InputTensor, data: list[Any] | None) -> InferInput:
    if data is None or (one.data is not None and data is not one.data):
        raise BadRequest(
            "no data, or data twice", where=f"input {one.name}", remedy="data or binary_data_size"
        )
    return InferInput(one.name, one.shape, one.datatype, data=data)


def _elements(binary: bytes, name: str) -> Iterator[bytes]:
    """The elements of a BYTES tensor: four bytes of length, little end first, then as many bytes."""
    at = 0
    while at < len(binary):
        if at + 4 > len(binary):
            raise BadRequest("a binary tensor ends within a length", where=f"input {name}")
        (size,) = struct.unpack_from("<I", binary, at)
        if at + 4 + size > len(binary):
            raise BadRequest("a binary tensor ends within an element", where=f"input {name}")
        yield binary[at + 4 : at + 4 + size]
        at += 4 + size


def _no_number(name: str) -> Any:
    raise ValueError(name)
