"""What each error is on the wire: a status of HTTP, one of gRPC, and a message."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from trace_retriever.errors import DataError, TraceError
from trace_retriever.serving.errors import (
    BadRequest,
    Broken,
    Busy,
    DeadlineExceeded,
    Stopping,
    SwapRefused,
    TooLarge,
)
from trace_retriever.serving.sdk import InvalidInput, ModelNotFound, ModelNotReady


@dataclass(frozen=True)
class Status:
    """An error as a client sees it."""

    http: int
    grpc: grpc.StatusCode
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


# The first that fits: subclasses come before their bases.
KINDS: tuple[tuple[type[BaseException], int, grpc.StatusCode], ...] = (
    (TooLarge, 413, grpc.StatusCode.INVALID_ARGUMENT),
    (BadRequest, 400, grpc.StatusCode.INVALID_ARGUMENT),
    (Stopping, 503, grpc.StatusCode.UNAVAILABLE),
    (Busy, 503, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (DeadlineExceeded, 504, grpc.StatusCode.DEADLINE_EXCEEDED),
    (SwapRefused, 409, grpc.StatusCode.FAILED_PRECONDITION),
    (Broken, 500, grpc.StatusCode.INTERNAL),
    (DataError, 400, grpc.StatusCode.INVALID_ARGUMENT),  # a picture that cannot be decoded
    (InvalidInput, 400, grpc.StatusCode.INVALID_ARGUMENT),
    (ModelNotFound, 404, grpc.StatusCode.NOT_FOUND),
    (ModelNotReady, 503, grpc.StatusCode.UNAVAILABLE),
    (asyncio.CancelledError, 499, grpc.StatusCode.CANCELLED),
)


def status_of(error: BaseException) -> Status:
    """The status of an error; one that nobody foresaw says nothing about itself."""
    for kind, http, code in KINDS:
        if isinstance(error, kind):
            headers = {"Retry-After": str(error.retry_after)} if isinstance(error, Busy) else {}
            return Status(http, code, _message(error), headers)
    return Status(500, grpc.StatusCode.INTERNAL, "the server failed; its log says why")


def _message(error: BaseException) -> str:
    """On one line, as gRPC's trailers want it."""
    if not isinstance(error, TraceError):
        return " ".join(str(error).split()) or type(error).__name__
    told = [error.problem, error.where and f"({error.where})", error.remedy and f"- {error.remedy}"]
    return " ".join(" ".join(filter(None, told)).split())
