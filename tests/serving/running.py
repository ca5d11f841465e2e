"""Servers as tests run them: real ones, in a thread of this process, on ports that are free."""

import asyncio
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
from tests.evaluation.colours import build_model, write_benchmark

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.items import Item
from trace_retriever.serving.errors import Busy
from trace_retriever.serving.front import Front
from trace_retriever.serving.identity import identify
from trace_retriever.serving.retrieve import Retriever, Sources
from trace_retriever.serving.server import Server
from trace_retriever.serving.service import Service
from trace_retriever.serving.worker import Worker
from trace_retriever.steps.embed import embed

NAME = "trace-retriever"
SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """What can be served."""

    model: Path
    dataset: Path
    embeddings: Path

    @property
    def sources(self) -> Sources:
        return Sources(embeddings=self.embeddings, dataset=self.dataset)

    def load(self) -> TraceModel:
        return load_model(self.model)

    def service(self, settings: ServeSettings | None = None, *, index: bool = True) -> Service:
        identity = identify(self.model)
        retriever = Retriever(self.sources, identity.models) if index else None
        return Service(Worker(self.load(), settings or ServeSettings()), identity, retriever)

    def copy(self, folder: Path) -> "Served":
        return replace(self, embeddings=shutil.copytree(self.embeddings, folder / "embeddings"))


def make_served(root: Path) -> Served:
    """Write the tiny benchmark and an untrained model, and embed the one with the other."""
    found = Served(root / "model", root / "mbeir", root / "embeddings")
    write_benchmark(found.dataset)
    build_model().save(found.model)
    run_embed(found, found.embeddings)
    return found


def run_embed(served: Served, out: Path, **settings: Any) -> None:
    """Run the step `embed` as the runner does."""
    folders = {key: out.parent / f"{out.name}.{key}" for key in ("report", "work")}
    for folder in (out, *folders.values()):
        folder.mkdir(parents=True)
    config = EmbedConfig(splits=("test",), global_pool=False, store_dtype="float32", **settings)
    embed(config, dataset=served.dataset, model=served.model, out=out, **folders)


async def come_and_go(front: Front, items: Sequence[Item], patience: float) -> list[str]:
    """120 clients that ask in all ways and do not wait long; what became of each."""
    reasons: tuple[Reason, ...] = ("auto", "never", "always")
    rng = np.random.default_rng(0)

    async def client(number: int) -> str:
        try:
            async with asyncio.timeout(float(rng.uniform(0.0, patience))):
                await front.encode(items[number % len(items)], reason=reasons[number % 3])
        except (Busy, TimeoutError) as error:
            return type(error).__name__
        return "answered"

    tasks = []
    for number in range(120):
        tasks.append(asyncio.create_task(client(number)))
        await asyncio.sleep(0.002)
    return list(await asyncio.gather(*tasks))


def endless(worker: Any, *, cut: bool = False) -> None:
    """No trace ends by itself, whatever the model would like; `cut` leaves the limit."""
    rows = worker.core.scheduler._rows

    def ending(row: Any) -> str | None:
        if len(row.tokens) < row.limit:
            return None
        if not cut:  # the last token is written again and again
            row.tokens.pop()
            row.logprobs.pop()
            row.length -= 1
            row.position -= 1
        return "limit" if cut else None

    def unending(*arguments: Any) -> Any:
        found = rows(*arguments)
        for row in found:
            row.route = "complex"
            row.ending = lambda *_, row=row: ending(row)
        return found

    worker.core.scheduler._rows = unending


def figures(client: httpx.Client) -> dict[str, float]:
    """A server's metrics, by name and labels."""
    lines = client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[0] != "#"}


class Running:
    """A server in a thread, from `with` on until it was drained."""

    def __init__(self, service: Service, token: str | None = None) -> None:
        self.service = service
        self.server = Server(service, name=NAME, http_port=0, grpc_port=0, admin_token=token)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.error: BaseException | None = None

    def _serve(self) -> None:
        try:
            asyncio.run(self.server.serve())
        except BaseException as error:
            self.error = error

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.http_port}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.server.grpc_port}"

    def client(self, **more: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=SECONDS, **more)

    def __enter__(self) -> Self:
        self.thread.start()
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and self.thread.is_alive():
            try:
                if httpx.get(f"{self.url}/v2/health/ready", timeout=1.0).is_success:
                    return self
            except httpx.TransportError:
                time.sleep(0.02)
        raise RuntimeError("the server did not start") from self.error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive()
        assert self.error is None
