"""The weighted split on the laptop: a reverse proxy before two serving processes.

An answer is whole from one side. The canary's is read to its end before a byte of it is sent on; where it
cannot be reached, breaks off, or answers with a fault of its own (500, 502, 503), the champion is asked the
same: an inference changes nothing, so asking twice is safe. The champion's answers are streamed.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from trace_retriever.rollout.split import goes_to_canary
from trace_retriever.rollout.upstream import REQUEST_ID, allowed, forwarded, returned, usable_id

MIB = 1 << 20
MAX_BODY, MAX_ANSWER = 16 * MIB, 64 * MIB
CONNECT_SECONDS, ANSWER_SECONDS = 2.0, 130.0  # serving's own longest deadline is two minutes
FAULTS = (500, 502, 503)


@dataclass
class Split:
    """Where requests go; changed by one thread while another proxies.

    Attributes:
        champion, canary: (version, address); None where there is none.
        percent: the canary's part of the requests.
        salt: of the rollout.
        served: version → requests that it answered.
        retried: requests that the champion answered because the canary did not.
    """

    champion: tuple[str, str] | None
    canary: tuple[str, str] | None
    percent: int = 0
    salt: str = ""
    served: dict[str, int] = field(default_factory=dict)
    retried: int = 0

    def sides(self, request_id: str) -> list[tuple[str, str]]:
        """Whom to ask, first and second."""
        champion, canary = self.champion, self.canary
        if canary and (champion is None or goes_to_canary(request_id, self.percent, self.salt)):
            return [canary, champion] if champion else [canary]
        return [champion] if champion else []

    def count(self, version: str) -> None:
        """Note an answer."""
        self.served[version] = self.served.get(version, 0) + 1


class TooLarge(Exception):
    """A body beyond its bound."""


def create_proxy(split: Split, client: httpx.AsyncClient | None = None) -> Starlette:
    """The application.

    Args:
        split: who gets what.
        client: makes the requests; it is closed with the application.
    """
    own = client or httpx.AsyncClient(
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=512, max_keepalive_connections=64),
        trust_env=False,
        follow_redirects=False,
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with own:
            yield

    async def about(_: Request) -> Response:
        return JSONResponse({"percent": split.percent, "served": split.served, "retried": split.retried})

    async def pass_on(request: Request) -> Response:
        return await _pass_on(request, split, own)

    routes = [Route("/split", about), Route("/{path:path}", pass_on, methods=["GET", "POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


async def _pass_on(request: Request, split: Split, client: httpx.AsyncClient) -> Response:
    if not allowed(request.method, request.url.path):
        return JSONResponse({"error": "there is nothing here for clients"}, 404)
    request_id = usable_id(request.headers.get(REQUEST_ID)) or str(uuid.uuid4())
    try:
        body = await _body(request)
    except TooLarge:
        return JSONResponse({"error": f"a body is {MAX_BODY} bytes at most"}, 413)
    except ClientDisconnect:
        return Response(status_code=499)
    headers = forwarded(request.headers.items(), request_id)

    def ask(address: str) -> httpx.Request:
        return client.build_request(
            request.method,
            address + request.url.path,
            params=request.query_params,
            headers=headers,
            content=body,
        )

    return await _while_connected(request, _answer(split, request_id, client, ask))


async def _answer(
    split: Split, request_id: str, client: httpx.AsyncClient, ask: Callable[[str], httpx.Request]
) -> Response:
    """The canary's answer where it has one to give, else the champion's."""
    sides = split.sides(request_id)
    if len(sides) == 2:
        version, address = sides.pop(0)
        if (answer := await _canarys(client, ask(address), version)) is not None:
            split.count(version)
            return answer
        split.retried += 1
    for version, address in sides:
        try:
            found = await client.send(ask(address), stream=True)
        except httpx.TransportError:
            break
        split.count(version)
        return StreamingResponse(_streamed(found), found.status_code, returned(found.headers, version))
    return JSONResponse({"error": "no version answers"}, 502, {"Retry-After": "1"})


async def _canarys(client: httpx.AsyncClient, request: httpx.Request, version: str) -> Response | None:
    """The whole answer; None where it broke off, is a fault, or is larger than any of ours."""
    try:
        found = await client.send(request, stream=True)
        try:
            content = bytearray()
            async for part in found.aiter_raw():
                content += part
                if len(content) > MAX_ANSWER:
                    return None
        finally:
            await found.aclose()
    except httpx.TransportError:
        return None
    if found.status_code in FAULTS:
        return None
    return Response(bytes(content), found.status_code, returned(found.headers, version))


async def _streamed(found: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in found.aiter_raw():
            yield part
    finally:
        await found.aclose()


async def _body(request: Request) -> bytes:
    """A request's body.

    Raises:
        TooLarge: it is beyond its bound; the rest is not read.
        ClientDisconnect: the client went.
    """
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise TooLarge
    return bytes(content)


async def _while_connected(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Do the work, unless the client goes before: then the serving process is left as well, and stops."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else Response(status_code=499)
    finally:
        for one in (task, gone):
            one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
