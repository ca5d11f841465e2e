"""The gRPC face: KServe's servicer behind our own errors, bounds and log."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from trace_retriever.serving.logs import LOGGER, request_id
from trace_retriever.serving.sdk import (
    DataPlane,
    InferenceServicer,
    ModelRepositoryExtension,
    add_GRPCInferenceServiceServicer_to_server,
    messages,
)
from trace_retriever.serving.service import Service
from trace_retriever.serving.statuses import status_of


class Servicer(InferenceServicer):  # type: ignore[misc]
    """KServe's, with health that means something and without a way to load or unload.

    Args:
        service, plane: as in `rest.create_app`.
    """

    def __init__(self, service: Service, plane: DataPlane) -> None:
        super().__init__(plane, ModelRepositoryExtension(plane.model_registry))
        self._service = service

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802, D102
        return messages.ServerLiveResponse(live=self._service.worker.alive)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802, D102
        return messages.ServerReadyResponse(ready=self._service.ready)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802, D102
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server's model is fixed")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802, D102
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this server's model is fixed")


class Statuses(aio.ServerInterceptor):  # type: ignore[misc]
    """Errors become statuses; each call gets an id and a line in the log."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap the handler of one call."""
        handler = await continuation(details)
        if handler is None or handler.unary_unary is None:
            return handler
        inner, method = handler.unary_unary, details.method

        async def answer(request: Any, context: Any) -> Any:
            return await _answer(inner, request, context, method)

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


async def _answer(
    inner: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any, method: str
) -> Any:
    given = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    own, started, code = request_id(given.get("x-request-id")), time.monotonic(), "OK"
    await context.send_initial_metadata((("x-request-id", own),))
    try:
        return await inner(request, context)
    except aio.AbortError:
        code = str(context.code())
        raise
    except Exception as error:
        status = status_of(error)
        code = status.grpc.name
        if status.grpc is grpc.StatusCode.INTERNAL:
            LOGGER.error("call failed", exc_info=error, extra={"request": own})
        headers = [(name.lower(), value) for name, value in status.headers.items()]
        await context.abort(status.grpc, status.message, trailing_metadata=tuple(headers))
    finally:
        milliseconds = round(1000 * (time.monotonic() - started), 3)
        LOGGER.info(
            "call", extra={"request": own, "method": method, "status": code, "milliseconds": milliseconds}
        )


def create_grpc(service: Service, plane: DataPlane, address: str) -> tuple[aio.Server, int]:
    """A server that is bound and not started.

    Args:
        service, plane: as in `rest.create_app`.
        address: host and port; port 0 takes any that is free.

    Returns:
        The server and its port.
    """
    settings = service.settings
    server = aio.server(
        interceptors=(Statuses(),),
        maximum_concurrent_rpcs=settings.max_requests,
        options=[
            ("grpc.max_receive_message_length", settings.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    add_GRPCInferenceServiceServicer_to_server(Servicer(service, plane), server)
    return server, server.add_insecure_port(address)
