"""The command `trace serve`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trace_retriever.config.serve import ServeSettings
    from trace_retriever.search.serving import Kind
    from trace_retriever.serving.front import Front
    from trace_retriever.serving.retrieve import Sources
    from trace_retriever.serving.server import Server
    from trace_retriever.serving.service import Service

PATH = click.Path(path_type=Path)
TOKEN = "TRACE_ADMIN_TOKEN"


@click.command("serve")
@click.option(
    "--model", type=PATH, default=Path("models/registered"), show_default=True, help="Model directory."
)
@click.option("--manifest", metavar="SHA256", help="Digest that the model's manifest must have.")
@click.option(
    "--embeddings", type=PATH, help="Candidates to search: what `trace embed` wrote.  [default: none]"
)
@click.option("--dataset", type=PATH, help="M-BEIR data set whose pools can be named.  [default: none]")
@click.option("--index", type=PATH, help="Saved index over all candidates.  [default: none; exact search]")
@click.option(
    "--index-digest", metavar="SHA256", help="Digest that candidates and index must have; see `trace index`."
)
@click.option("--name", default="trace-retriever", show_default=True, help="The model's name on the wire.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--http-port", default=8080, show_default=True, help="REST; 0 takes any.")
@click.option("--grpc-port", default=8081, show_default=True, help="gRPC; 0 takes any.")
@click.option("--settings", type=PATH, help="YAML with bounds; see docs/serving.md.  [default: none]")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a bound; repeatable.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True)
def serve_command(
    model: Path,
    manifest: str | None,
    embeddings: Path | None,
    dataset: Path | None,
    index: Path | None,
    index_digest: str | None,
    name: str,
    host: str,
    http_port: int,
    grpc_port: int,
    settings: Path | None,
    overrides: Sequence[str],
    device: str,
    dtype: str,
) -> None:
    """Serve a model: REST and gRPC, Open Inference Protocol. SIGTERM drains, SIGHUP reads the index again."""
    import asyncio
    import gc
    import os

    from trace_retriever.config.serve import load_serve
    from trace_retriever.serving.logs import configure_logs
    from trace_retriever.serving.retrieve import Sources
    from trace_retriever.serving.server import Server

    bounds = load_serve(settings, overrides)
    sources = None if embeddings is None else Sources(embeddings=embeddings, dataset=dataset, index=index)
    if sources is None and (dataset or index or index_digest):
        raise click.UsageError("--dataset, --index and --index-digest need --embeddings")
    service = _service(model, manifest, sources, index_digest, bounds, device, dtype)
    server = Server(
        service,
        name=name,
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        admin_token=os.environ.get(TOKEN),
    )
    configure_logs()
    # What is loaded stays: a full collection would walk it all, and every request would wait half a second.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=server.loop_factory) as runner:
        runner.run(_until_signal(server))


@click.command("index")
@click.option(
    "--embeddings",
    type=PATH,
    default=Path("embeddings/trace"),
    show_default=True,
    help="What `trace embed` wrote.",
)
@click.option("--out", type=PATH, default=Path("index/trace"), show_default=True, help="Where to.")
@click.option(
    "--kind", type=click.Choice(["flat", "ivf-rabitq", "ivf-pq"]), default="ivf-rabitq", show_default=True
)
@click.option("--split", default="val", show_default=True, help="Whose queries tune and measure it.")
@click.option(
    "--recall",
    type=click.FloatRange(0, 1),
    default=0.99,
    show_default=True,
    help="Least share of the best k.",
)
@click.option("-k", type=click.IntRange(1), default=50, show_default=True, help="Results that count.")
def index_command(embeddings: Path, out: Path, kind: "Kind", split: str, recall: float, k: int) -> None:
    """Build an index for `trace serve --index`, pinned to these embeddings and their model.

    Exits with 3, and leaves the old one, where it finds less than --recall of what the exact search finds.
    """
    from trace_retriever.search.building import Demand
    from trace_retriever.serving.indexing import build_index

    made, digest = build_index(embeddings, out, kind=kind, split=split, demand=Demand(recall, k))
    click.echo(f"{out}: {made.kind}, {made.entries:,} candidates, {made.bytes:,} bytes")
    click.echo(f"recall@{made.recall_k} {made.recall:.4f} on {made.recall_queries} queries")
    click.echo(f"trace serve --embeddings {embeddings} --index {out} --index-digest {digest}")


def _service(
    model: Path,
    manifest: str | None,
    sources: "Sources | None",
    index_digest: str | None,
    bounds: "ServeSettings",
    device: str,
    dtype: str,
) -> "Service":
    """Everything checked against everything before a port is opened."""
    from trace_retriever.serving.identity import identify
    from trace_retriever.serving.retrieve import Retriever
    from trace_retriever.serving.service import Service

    identity = identify(model, manifest)
    retriever = None if sources is None else Retriever(sources, identity.models, index_digest)
    return Service(_worker(model, bounds, device, dtype), identity, retriever)


def _worker(model: Path, bounds: "ServeSettings", device: str, dtype: str) -> "Front":
    """What computes, in this process or one of its own."""
    if bounds.own_process:
        from trace_retriever.serving.remote import RemoteWorker

        return RemoteWorker(model, bounds, device=device, dtype=dtype)
    import torch

    from trace_retriever.model.bundle import load_model
    from trace_retriever.serving.core import take_processors
    from trace_retriever.serving.worker import Worker

    take_processors(bounds)
    return Worker(load_model(model, device=device, dtype=getattr(torch, dtype)), bounds)


async def _until_signal(server: "Server") -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP swaps the index."""
    import asyncio
    import signal

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, server.swap)
    await server.serve()
