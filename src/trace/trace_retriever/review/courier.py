"""Webhooks of what is decided on the page: sent by the server itself, beside what it answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.concurrency import run_in_threadpool

from trace_retriever.errors import TraceError
from trace_retriever.registry.registry import Registry


def delivering(registry: Registry, seconds: float) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """A lifespan in which waiting messages are sent, again and again; a fault is logged and tried later.

    Args:
        registry: whose messages.
        seconds: between two looks.
    """

    async def run() -> None:
        while True:
            try:
                await run_in_threadpool(registry.deliver)
            except TraceError as error:  # the database is away: acts say so to whoever acts
                logging.getLogger(__name__).warning("webhooks wait: %s", error.problem)
            await asyncio.sleep(seconds)

    @asynccontextmanager
    async def life(_: Any) -> AsyncIterator[None]:
        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return life
