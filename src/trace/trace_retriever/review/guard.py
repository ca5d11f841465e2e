"""What every request passes first: its host, its body's size and time; and every answer: its headers."""

import asyncio
import json

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trace_retriever.config.review import ReviewSettings
from trace_retriever.review.problems import Problem

# Pages run no script and load nothing from elsewhere; their few bars are SVG attributes, not styles.
POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Refuses foreign hosts and bodies too large or too slow; puts the security headers on answers."""

    def __init__(self, app: ASGIApp, settings: ReviewSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = self._with_headers(send)
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            body = await asyncio.wait_for(self._body(headers, receive), self._settings.body_seconds)
        except Problem as problem:
            await _refuse(problem, send)
        except TimeoutError:
            await _refuse(Problem(408, "the body did not come in time"), send)
        else:
            await self._app(scope, _replayed(body, receive), send)

    def _check_host(self, headers: Headers) -> None:
        names = headers.getlist("host")
        host = names[0].rpartition("]")[2].partition(":")[0] if len(names) == 1 else ""
        bracketed = names[0].partition("]")[0] + "]" if len(names) == 1 and names[0].startswith("[") else host
        if bracketed.lower() not in self._settings.hosts:
            raise Problem(
                400, "this host is not served here", "the review settings' `hosts` names those that are"
            )

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        limit = self._settings.max_body_bytes
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdecimal()):
            raise Problem(400, "the length of the body is no number")
        too_large = Problem(413, f"a body has at most {limit:,} bytes")
        if int(length[:12]) > limit or len(length) > 12:
            raise too_large
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "the body ended early")
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > limit:
                raise too_large
        return body

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if self._settings.https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        return sending


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving


async def _refuse(problem: Problem, send: Send) -> None:
    body = json.dumps(problem.as_json()).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    if problem.status in (408, 413):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
