"""Putting the demo together from directories, and serving it."""

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from trace_retriever.cards.manifest import MANIFEST
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.io.files import read_json

if TYPE_CHECKING:
    from fastapi import FastAPI

    from trace_retriever.config.serve import ServeSettings
    from trace_retriever.mbeir.pairs import Split

MOST_ATTRIBUTION = 2000  # characters


def build(
    model: Path,
    embeddings: Path,
    dataset: Path,
    *,
    host: str = "127.0.0.1",
    device: str = "cpu",
    settings: "ServeSettings | None" = None,
) -> "FastAPI":
    """The application over a model, its embeddings and its data set.

    Args:
        model: a registered model, or one as `trace train` left it.
        embeddings: what `trace embed` made with it.
        dataset: the data set that was embedded.
        host: what it will listen on; on loopback, it answers to loopback's names only.
        device: where the model computes.
        settings: bounds of the worker's queues.

    Raises:
        CheckpointError: the model cannot be loaded.
        DataError: the embeddings are another model's or another data set's, or something is missing.
    """
    from trace_retriever.config.serve import ServeSettings
    from trace_retriever.demo_app.answer import Demo
    from trace_retriever.demo_app.app import create_app
    from trace_retriever.demo_app.page import About, Page
    from trace_retriever.demo_app.words import Words
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.model.bundle import load_model
    from trace_retriever.serving.core import take_processors
    from trace_retriever.serving.identity import identify
    from trace_retriever.serving.retrieve import Retriever, Sources
    from trace_retriever.serving.worker import Worker

    layout, identity = Layout(dataset), identify(model)
    sources = Sources(embeddings=embeddings, dataset=dataset, split=_split(embeddings))
    retriever = Retriever(sources, identity.models)
    bounds = settings or ServeSettings()
    take_processors(bounds)
    loaded = load_model(model, device=device)
    demo = Demo(layout, retriever, Worker(loaded, bounds))
    about = About(_name(model), loaded.settings.route_threshold, _attribution(dataset))
    page = Page(demo, Words(loaded, dataset), about)
    return create_app(page, hosts=_hosts(host), most_pixels=loaded.settings.max_pixels)


def serve(app: "FastAPI", host: str, port: int) -> None:
    """Serve until interrupted; the address is printed once it is listened on.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    import click
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=30)
    with _listening(host, port) as bound:
        name = f"[{host}]" if ":" in host else host
        click.echo(f"demo: http://{name}:{bound.getsockname()[1]}/ (Ctrl+C ends it)")
        uvicorn.Server(config).run(sockets=[bound])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            remedy="end what listens there, or choose another --port (0: a free one)",
        ) from None


def _hosts(host: str) -> tuple[str, ...]:
    """Names that a browser may ask for: on loopback only loopback's, so that no page elsewhere can."""
    try:
        local = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        local = False
    return ("127.0.0.1", "localhost", "[::1]") if local else ("*",)


def _split(embeddings: Path) -> "Split":
    """The split whose pools are shown: test, or else what was embedded.

    Raises:
        DataError: no embeddings here, or none of a split.
    """
    from trace_retriever.mbeir.pairs import SPLITS
    from trace_retriever.store.embeddings import ABOUT

    about = read_json(embeddings / ABOUT)
    for split in reversed(SPLITS):
        if split in about.get("splits", ()):
            return split
    raise DataError("no pools were embedded", where=embeddings, remedy="run `trace embed` again")


def _name(model: Path) -> str:
    if not (model / MANIFEST).is_file():
        return model.name
    manifest = read_json(model / MANIFEST)
    return f"{manifest['name']} {manifest['version']}"


def _attribution(dataset: Path) -> str:
    """The text of `ATTRIBUTION.md`, headings left out; licences such as OpenMoji's ask for it."""
    path = dataset / "ATTRIBUTION.md"
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8")[:MOST_ATTRIBUTION].splitlines()
    return " ".join(line for line in lines if line and not line.startswith("#"))
