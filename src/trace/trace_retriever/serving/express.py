"""Inference requests, straight to the function that answers them.

A framework's own way there (middleware, routes, dependencies, exit stacks) takes time of the event loop for
which, under load, all other requests wait. The same functions are the application's routes too, which
describe them and take what is not matched here.
"""

import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[str, Request], Awaitable[Response]]
Told = Callable[[Request, Exception], Awaitable[Response]]


class Express:
    """ASGI middleware.

    Args:
        app: what answers everything else.
        endpoints: form of the path, with the model's name as its group → what answers a POST to it.
        told: the answer that an error is.
    """

    def __init__(self, app: ASGIApp, endpoints: Mapping[str, Endpoint], told: Told) -> None:
        self.app, self._told = app, told
        self._endpoints = [(re.compile(form), endpoint) for form, endpoint in endpoints.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] == "POST":
            for form, endpoint in self._endpoints:
                if found := form.fullmatch(scope["path"]):
                    answer = await self._answer(endpoint, found[1], Request(scope, receive))
                    return await answer(scope, receive, send)
        return await self.app(scope, receive, send)

    async def _answer(self, endpoint: Endpoint, name: str, request: Request) -> Response:
        try:
            return await endpoint(name, request)
        except Exception as error:
            return await self._told(request, error)
