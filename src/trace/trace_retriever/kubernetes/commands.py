"""The commands `trace train-job …`: render what the cluster needs, train on several machines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trace_retriever.config.train import TrainConfig

PATH = click.Path(path_type=Path)
CLUSTER = click.option(
    "--cluster",
    type=PATH,
    default=Path("pipelines/cluster.yaml"),
    show_default=True,
    help="Cluster settings.",
)
PARAMS = click.option("--params", type=PATH, help="Params file.  [default: params.yaml, if there]")
SET = click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a param.")


@click.group("train-job")
def train_job_group() -> None:
    """Train on several machines of a Kubernetes cluster, with Kubeflow Trainer."""


@train_job_group.command("render")
@CLUSTER
@PARAMS
@SET
@click.option("--out", type=PATH, default=Path("deploy"), show_default=True, help="Where to.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file is not current.")
def render_command(
    cluster: Path, params: Path | None, overrides: Sequence[str], out: Path, check: bool
) -> None:
    """Render runtime, rights and an example TrainJob from the cluster settings."""
    from trace_retriever.config.cluster import load_cluster
    from trace_retriever.errors import DataError
    from trace_retriever.io.files import write_atomic
    from trace_retriever.kubernetes.manifests import drifted, manifests

    files = manifests(load_cluster(cluster), _config(params, overrides))
    if check:
        if names := drifted(out, files):
            raise DataError(
                f"not current: {', '.join(names)}", where=out, remedy="run `trace train-job render`"
            )
        click.echo(f"{out}/ is current")
        return
    for name, text in files.items():
        write_atomic(out / name, text)
        click.echo(f"{out / name}: {len(text):,} bytes")


@train_job_group.command("run")
@CLUSTER
@PARAMS
@SET
@click.option("--dataset", type=PATH, default=Path("data/mbeir"), show_default=True, help="Input.")
@click.option("--routes", type=PATH, default=Path("data/routes"), show_default=True, help="Input.")
@click.option("--kept", type=PATH, default=Path("data/kept"), show_default=True, help="Input.")
@click.option("--validation", type=PATH, default=Path("data/validation"), show_default=True, help="Input.")
@click.option("--backbone", type=PATH, default=Path("models/backbone"), show_default=True, help="Input.")
@click.option("--out", type=PATH, default=Path("models/trace"), show_default=True, help="Output directory.")
@click.option(
    "--report", type=PATH, default=Path("results/train"), show_default=True, help="Report directory."
)
@click.option("--poll", default=10.0, show_default=True, help="Seconds between looks at the job.")
def run_command(
    cluster: Path,
    params: Path | None,
    overrides: Sequence[str],
    out: Path,
    report: Path,
    poll: float,
    **inputs: Path,
) -> None:
    """Run step `train` as a TrainJob: submit it, show its log, wait, fetch what it leaves."""
    from trace_retriever.config.cluster import load_cluster
    from trace_retriever.kubernetes.remote import run_train_job

    settings, config = load_cluster(cluster), _config(params, overrides)
    run_train_job(config, settings, inputs=inputs, out=out, report=report, poll=poll)
    click.echo(f"train: done, report in {report}/")


def _config(params: Path | None, overrides: Sequence[str]) -> "TrainConfig":
    from trace_retriever.config import load_section
    from trace_retriever.config.train import TrainConfig

    if params is None and Path("params.yaml").exists():
        params = Path("params.yaml")
    section = load_section("train", params, overrides)
    assert isinstance(section, TrainConfig)
    return section
