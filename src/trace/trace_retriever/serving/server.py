"""A server's life: bound, warm, ready, draining, gone."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from grpc import aio

from trace_retriever.errors import TraceError
from trace_retriever.serving.errors import BadRequest, SwapRefused
from trace_retriever.serving.grpc_server import create_grpc
from trace_retriever.serving.joined import JoinedWrites
from trace_retriever.serving.logs import LOGGER
from trace_retriever.serving.rest import create_app
from trace_retriever.serving.sdk import DataPlane, ModelRepository
from trace_retriever.serving.served import ServedModel
from trace_retriever.serving.service import Service

KEEP_ALIVE = 65  # seconds; longer than proxies keep theirs, lest they use a connection that is just closed


class Server:
    """REST and gRPC over one service, in one event loop.

    Args:
        service: started by `serve`.
        name: the model's, on the wire.
        host: address to bind.
        http_port, grpc_port: 0 takes any that is free; what was taken is in the attributes of that name.
        admin_token: see `rest.create_app`.

    Raises:
        TraceError: a port is in use.
    """

    def __init__(
        self,
        service: Service,
        *,
        name: str = "trace-retriever",
        host: str = "127.0.0.1",
        http_port: int = 8080,
        grpc_port: int = 8081,
        admin_token: str | None = None,
    ) -> None:
        self.service, self.host, self.grpc_port = service, host, grpc_port
        repository = ModelRepository()
        repository.update(ServedModel(name, service))
        self._plane = DataPlane(repository)
        self._socket = _bound(host, http_port)
        self.http_port: int = self._socket.getsockname()[1]
        app = create_app(service, self._plane, admin_token)
        config = uvicorn.Config(
            app,
            http=JoinedWrites,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # nobody asks who the client is
            timeout_keep_alive=KEEP_ALIVE,
            server_header=False,
            lifespan="off",
        )
        self._http = _Http(config)
        self._stopping = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """The event loop that suits it: uvloop where it is installed, which KServe's SDK brings."""
        return self._http.config.get_loop_factory()

    async def serve(self) -> None:
        """Warm up, serve until `stop`, drain."""
        self._loop = asyncio.get_running_loop()
        start = asyncio.create_task(self.service.start())
        if not await self._until_stopped(start):
            await start
            await self._serve()
        else:  # nobody waits for the rest of a start
            start.cancel()
            await asyncio.gather(start, return_exceptions=True)
            await self.service.drain(0.0)
            self._socket.close()

    async def _serve(self) -> None:
        grpc, self.grpc_port = self._bind_grpc()
        await grpc.start()
        http = asyncio.create_task(self._http.serve([self._socket]))
        while not (self._http.started or http.done()):
            await asyncio.sleep(0.01)
        LOGGER.info("serving", extra={"http": self.http_port, "grpc": self.grpc_port, **self._about()})
        await self._until_stopped(http)
        await self._drain(grpc, http)

    async def _until_stopped(self, task: "asyncio.Task[None]") -> bool:
        """Wait for a task or for `stop`; whether the latter came first."""
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return not task.done()

    def stop(self) -> None:
        """Begin to drain; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    def swap(self) -> None:
        """Take the index that is on disk now, in the background; what goes wrong is in the log."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(
                lambda: self._loop and self._loop.run_in_executor(None, self._swap)
            )

    def _swap(self) -> None:
        try:
            LOGGER.info("index swapped", extra={"index": self.service.swap()})
        except (SwapRefused, BadRequest) as error:
            LOGGER.error("index not swapped", extra={"problem": error.problem, "where": error.where})

    async def _drain(self, grpc: aio.Server, http: "asyncio.Task[None]") -> None:
        """Say `not ready`, refuse what is new, finish what is there; then close."""
        settings = self.service.settings
        LOGGER.info("draining")
        self.service.retire()
        await asyncio.sleep(settings.lame_duck_seconds)
        done = await self.service.drain(settings.drain_seconds)
        self._http.should_exit = True
        await grpc.stop(1.0)
        await http
        LOGGER.info("stopped", extra={"drained": done})

    def _bind_grpc(self) -> tuple[aio.Server, int]:
        host = f"[{self.host}]" if ":" in self.host else self.host
        try:
            return create_grpc(self.service, self._plane, f"{host}:{self.grpc_port}")
        except RuntimeError:
            raise _in_use(self.host, self.grpc_port) from None

    def _about(self) -> dict[str, str]:
        identity = self.service.identity
        return {"version": identity.version, "manifest": identity.manifest}


class _Http(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would close connections before the queue is empty."""
        yield


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio sets TCP_NODELAY only where it is, else answers wait 40 ms for an ACK.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise TraceError(
            f"cannot listen: {error.strerror}",
            where=f"{host}:{port}",
            remedy="choose another port or address",
        ) from None
    found.set_inheritable(True)
    return found


def _in_use(host: str, port: int) -> TraceError:
    return TraceError("cannot listen", where=f"{host}:{port}", remedy="choose another --grpc-port")
