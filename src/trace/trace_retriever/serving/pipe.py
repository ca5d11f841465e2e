"""The server's end of the pipe to the process that computes: read and written by the event loop."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from trace_retriever.serving.wire import Down, Unpacker, packed


class Pipe(asyncio.Protocol):
    """A protocol of asyncio's; what cannot be sent yet waits in its transport, whatever its size.

    Args:
        hear: called with each message.
        over: called once, at the end of all.
    """

    def __init__(self, hear: Callable[[Any], None], over: Callable[[], None]) -> None:
        self._hear, self._over = hear, over
        self._unpacker = Unpacker()
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether the other side is there, for all that is known."""
        return self._transport is not None and not self._lost.is_set()

    def send(self, message: Down) -> None:
        """Send a message; it is lost where the other side is gone, which `over` tells."""
        assert self._transport is not None
        self._transport.writelines(packed(message))

    async def close(self) -> None:
        """End it, whatever waits to be sent; nothing is heard any more."""
        if self._transport is not None:
            self._transport.abort()
            await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole."""
        for message in self._unpacker.feed(data):
            self._hear(message)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how does not matter
        """End."""
        self._lost.set()
        self._over()
