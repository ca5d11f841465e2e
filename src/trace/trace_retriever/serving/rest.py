"""The REST face: Open Inference Protocol v2, KServe's v1, and what machines ask for."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi import Path as InPath
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from trace_retriever import __version__
from trace_retriever.errors import TraceError
from trace_retriever.serving.admin import add_admin
from trace_retriever.serving.bodies import JSON_LENGTH, read_body, read_infer_request, read_json_body
from trace_retriever.serving.express import Endpoint, Express
from trace_retriever.serving.gate import Gate
from trace_retriever.serving.logs import LOGGER
from trace_retriever.serving.schemas import (
    ANSWERS,
    INFER,
    PREDICT,
    Fault,
    Inferred,
    Live,
    ModelFacts,
    ModelReady,
    Models,
    Predictions,
    Ready,
    ServerFacts,
)
from trace_retriever.serving.sdk import DataPlane, InvalidInput, ModelNotFound, ModelNotReady
from trace_retriever.serving.service import Service
from trace_retriever.serving.statuses import status_of

Result = TypeVar("Result")
Name = Annotated[str, InPath(min_length=1, max_length=128)]
NAME = "[^/]{1,128}"
UNFORESEEN = 500
GONE = 499  # nginx's status for a client that did not wait; nobody reads it but the log


def create_app(service: Service, plane: DataPlane, admin_token: str | None = None) -> ASGIApp:
    """The application.

    Args:
        service: for settings, health and the swap.
        plane: KServe's data plane, which holds the model by its name.
        admin_token: bearer token of the swap; None refuses it to everybody.
    """
    app = FastAPI(title="trace serve", version=__version__, docs_url=None, redoc_url=None)
    for kind in (TraceError, InvalidInput, ModelNotFound, ModelNotReady, Exception):
        app.add_exception_handler(kind, _told)
    _add_health(app, service)
    _add_models(app, plane)
    add_admin(app, service, admin_token)
    return Gate(Express(app, _add_inference(app, service, plane), _told), service)


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/", tags=["health"])
    @app.get("/v2/health/live", tags=["health"], responses={503: {"model": Fault}})
    async def live() -> Live:
        """Whether computing goes on; a server where it does not is to be replaced."""
        if not service.worker.alive:
            raise ModelNotReady("the server", "Computing has failed.")
        return Live(live=True)

    @app.get("/v2/health/ready", tags=["health"], responses={503: {"model": Fault}})
    async def ready() -> Ready:
        """Whether requests are taken: warm, alive, not stopping."""
        if not service.ready:
            raise ModelNotReady("the server")
        return Ready(ready=True)

    @app.get("/v2", tags=["health"])
    async def about() -> ServerFacts:
        """Name, version and extensions of the server."""
        extensions = ["binary_tensor_data"]
        return ServerFacts(name="trace-serve", version=__version__, extensions=extensions)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_models(app: FastAPI, plane: DataPlane) -> None:
    @app.get("/v1/models", tags=["models"])
    @app.get("/v2/models", tags=["models"])
    async def models() -> Models:
        """Names of the models that are served."""
        return Models(models=list(plane.model_registry.get_models()))

    @app.get("/v2/models/{name}", tags=["models"], responses={404: {"model": Fault}})
    async def facts(name: Name) -> ModelFacts:
        """Inputs and outputs of a model."""
        return ModelFacts.model_validate(await plane.model_metadata(name))

    @app.get("/v1/models/{name}", tags=["models"], responses={404: {"model": Fault}, 503: {"model": Fault}})
    @app.get(
        "/v2/models/{name}/ready", tags=["models"], responses={404: {"model": Fault}, 503: {"model": Fault}}
    )
    async def ready(name: Name) -> ModelReady:
        """Whether a model takes requests."""
        if not await plane.model_ready(name):
            raise ModelNotReady(name)
        return ModelReady(name=name, ready=True)


def _add_inference(app: FastAPI, service: Service, plane: DataPlane) -> dict[str, Endpoint]:
    """Add the routes; and what answers them, by the form of their paths."""

    @app.post(
        "/v2/models/{name}/infer",
        tags=["inference"],
        response_model=Inferred,
        responses=ANSWERS,
        openapi_extra=INFER,
    )
    async def infer(name: Name, request: Request) -> Response:
        """Encode queries, and look them up where parameter `k` says so."""
        plane.get_model_from_registry(name)
        body = await read_body(request, service.settings)
        asked = read_infer_request(body, request.headers.get(JSON_LENGTH), name)
        answer, _ = await _while_connected(request, plane.infer(name, asked, _headers(request)))
        content, json_length = answer.to_rest()
        if json_length is None:
            return _json(content)
        headers = {"Inference-Header-Content-Length": str(json_length)}
        return Response(content, media_type="application/octet-stream", headers=headers)

    @app.post(
        "/v1/models/{name}:predict",
        tags=["inference"],
        response_model=Predictions,
        responses=ANSWERS,
        openapi_extra=PREDICT,
    )
    async def predict(name: Name, request: Request) -> Response:
        """The same by KServe's first protocol."""
        plane.get_model_from_registry(name)
        body = read_json_body(await read_body(request, service.settings))
        answer, _ = await _while_connected(request, plane.infer(name, body, _headers(request)))
        return _json(answer)

    return {rf"/v2/models/({NAME})/infer": infer, rf"/v1/models/({NAME}):predict": predict}


async def _while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Do the work, unless the client goes before it is done.

    Raises:
        ClientGone: it went; the work was cancelled.
    """
    asking, working = asyncio.current_task(), True
    assert asking is not None

    def cancel(gone: "asyncio.Task[None]") -> None:
        if working and not gone.cancelled():
            asking.cancel()

    gone = asyncio.ensure_future(_disconnected(request))
    gone.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone.done():  # somebody else cancelled
            raise
        asking.uncancel()
        raise ClientGone("the client did not wait") from None
    finally:
        working = False
        gone.cancel()


class ClientGone(TraceError):
    """The client closed the connection before its answer."""


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _headers(request: Request) -> dict[str, str]:
    return {**request.headers, "x-request-id": request.state.request_id}


def _json(content: Any) -> Response:
    # A vector is hundreds of numbers: the standard library takes many times as long, on the event loop.
    return Response(orjson.dumps(content), media_type="application/json")


async def _told(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientGone):
        return JSONResponse({"error": error.problem}, GONE)
    status = status_of(error)
    if status.http == UNFORESEEN and not isinstance(error, TraceError):
        LOGGER.error("request failed", exc_info=error, extra={"request": request.state.request_id})
    return JSONResponse({"error": status.message}, status.http, dict(status.headers))
