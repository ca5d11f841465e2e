"""The one act that changes a running server: taking the index that lies on disk now into use."""

import asyncio
import hmac
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from trace_retriever.serving.gate import ADMIN
from trace_retriever.serving.logs import LOGGER
from trace_retriever.serving.schemas import Fault
from trace_retriever.serving.service import Service

PREFIX = "Bearer "


class Swapped(BaseModel):
    """The digest of what is in use now."""

    index: str


class SwapBody(BaseModel):
    """What the index that is found must be; nothing says where it lies but the server's own settings."""

    model_config = ConfigDict(extra="forbid")
    expected: str | None = Field(None, pattern=r"^sha256:[0-9a-f]{64}$")


def add_admin(app: FastAPI, service: Service, token: str | None) -> None:
    """Add `POST /admin/index`.

    Args:
        app: where to.
        service: whose index.
        token: the bearer token; None refuses everybody.
    """
    answers: dict[int | str, dict[str, Any]] = {code: {"model": Fault} for code in (400, 401, 409)}

    @app.post(ADMIN, tags=["admin"], response_model=Swapped, responses=answers)
    async def swap(
        body: Annotated[SwapBody | None, Body()] = None, authorization: Annotated[str, Header()] = ""
    ) -> Swapped | Response:
        """Read the configured directories again; requests in flight go on with the index they began with."""
        if not _allowed(authorization, token):
            headers = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": "a bearer token is needed"}, 401, headers)
        digest = await asyncio.to_thread(service.swap, None if body is None else body.expected)
        LOGGER.info("index swapped", extra={"index": digest})
        return Swapped(index=digest)


def _allowed(given: str, token: str | None) -> bool:
    """In constant time, whatever is given."""
    if not token or not given.startswith(PREFIX):
        return False
    return hmac.compare_digest(given.removeprefix(PREFIX).encode(), token.encode())
