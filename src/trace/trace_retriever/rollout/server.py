"""The proxy at work, in a thread beside the rollout."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from trace_retriever.rollout.errors import RolloutError
from trace_retriever.rollout.proxy import Split, create_proxy

START_SECONDS = 30.0


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the rollout's."""
        yield


@contextmanager
def proxying(split: Split, host: str, port: int) -> Iterator[str]:
    """Serve the split; yields its address.

    Args:
        split: may be changed meanwhile.
        host, port: where to listen; port 0 takes any.

    Raises:
        RolloutError: the port is in use.
    """
    listening = _bound(host, port)
    config = uvicorn.Config(create_proxy(split), log_config=None, access_log=False, server_header=False)
    server = _Quiet(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    until = time.monotonic() + START_SECONDS
    while not server.started and thread.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://{host}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listening.close()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: asyncio sets TCP_NODELAY
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise RolloutError(
            f"cannot listen: {error.strerror}", where=f"{host}:{port}", remedy="choose another port"
        ) from None
    return found
