"""Around every REST request: an id, a bound on how many there are, and a line in the log."""

import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trace_retriever.serving.logs import LOGGER, request_id
from trace_retriever.serving.service import Service

ADMIN = "/admin/index"  # whose request computes nothing
QUIET = ("/metrics", "/v2/health/live", "/v2/health/ready", "/")  # asked every few seconds by machines


class Gate:
    """ASGI middleware; what would find everything full is refused before its body is read.

    Args:
        app: what is behind it.
        service: what is full, and counts what is refused.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self._service = app, service
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = own
        started, seen = time.monotonic(), dict[str, Any](status=500)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = own
            await send(message)

        counted = scope["method"] == "POST"
        if counted and (problem := self._full(scope["path"])):
            await self._refuse(problem)(scope, receive, answer)
        else:
            self._inside += counted
            try:
                await self.app(scope, receive, answer)
            finally:
                self._inside -= counted
        if scope["path"] not in QUIET:
            _log(scope, own, seen["status"], time.monotonic() - started)

    def _full(self, path: str) -> str | None:
        """What is full, of what this request needs."""
        if self._inside >= self._service.settings.max_requests:
            return "too many requests are being answered"
        if path != ADMIN and self._service.worker.full:
            return "the queue of prompts is full"
        return None

    def _refuse(self, problem: str) -> ASGIApp:
        self._service.metrics.failed("refused")
        headers = {"Retry-After": str(self._service.settings.retry_after)}
        return JSONResponse({"error": problem}, 503, headers)


def _log(scope: Scope, own: str, status: int, seconds: float) -> None:
    about = {"request": own, "method": scope["method"], "path": scope["path"], "status": status}
    LOGGER.info("request", extra={**about, "milliseconds": round(1000 * seconds, 3)})
