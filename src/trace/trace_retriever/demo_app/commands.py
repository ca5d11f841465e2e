"""The command `trace demo-app`: the page on this machine, to try a model."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


@click.command("demo-app")
@click.option(
    "--model", type=PATH, default=Path("models/registered"), show_default=True, help="Model directory."
)
@click.option(
    "--embeddings", type=PATH, default=Path("embeddings/trace"), show_default=True, help="Its vectors."
)
@click.option("--dataset", type=PATH, default=Path("data/mbeir"), show_default=True, help="M-BEIR data set.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="0: a free one.")
@click.option("--device", default="cpu", show_default=True, help="Where the model computes.")
def demo_app(model: Path, embeddings: Path, dataset: Path, host: str, port: int, device: str) -> None:
    """Try a model: a page to search the data set's pools by typing, by picture, or both."""
    from trace_retriever.demo_app.serve import build, serve

    serve(build(model, embeddings, dataset, host=host, device=device), host, port)
