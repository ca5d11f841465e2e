"""The commands `trace pipeline …`: compile, lint, run here, submit to a cluster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
_PIPELINES = click.option(
    "--pipelines", type=PATH, default=Path("pipelines"), show_default=True, help="Where pipelines are."
)
_ARGUMENTS = (
    click.option("--params", type=PATH, help="Params file.  [default: what was compiled in]"),
    click.option(
        "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a param; repeatable."
    ),
    click.option(
        "--arg", "others", multiple=True, metavar="NAME=VALUE", help="Another parameter; repeatable."
    ),
)


def _with_arguments(command: Any) -> Any:
    for option in reversed(_ARGUMENTS):
        command = option(command)
    return command


@click.group("pipeline")
def pipeline() -> None:
    """Kubeflow pipelines: compile, lint, run on this machine, submit to a cluster."""


@pipeline.command("compile")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a compiled file is not current.")
@click.option("--cluster", type=PATH, help="Cluster settings.  [default: pipelines/cluster.yaml]")
@click.option("--out", type=PATH, help="Where to.  [default: pipelines/compiled]")
def compile_command(check: bool, cluster: Path | None, out: Path | None) -> None:
    """Compile all pipelines of this checkout, as KFP's YAML and as Kubernetes objects; then lint them."""
    import os

    from trace_retriever.errors import DataError
    from trace_retriever.io.files import write_atomic
    from trace_retriever.kubeflow.compiled import PIPELINES, compile_all, drifted

    if cluster:
        os.environ["TRACE_CLUSTER"] = str(cluster.resolve())
    if check:
        if files := drifted(Path()):
            raise DataError(f"not current: {', '.join(files)}", remedy="run `trace pipeline compile`")
        click.echo("compiled pipelines are current")
        return
    folder = out or PIPELINES / "compiled"
    for name, text in compile_all(Path()).items():
        write_atomic(folder / name, text)
        click.echo(f"{folder / name}: {len(text):,} bytes")
    _lint(sorted(path for path in folder.glob("*.yaml") if "." not in path.stem))


@pipeline.command("lint")
@click.argument("files", nargs=-1, type=PATH)
@_PIPELINES
def lint_command(files: Sequence[Path], pipelines: Path) -> None:
    """Find what only one of local runner and backend would take, in compiled files (default: all)."""
    folder = pipelines / "compiled"
    _lint(files or sorted(path for path in folder.glob("*.yaml") if "." not in path.stem))


def _lint(files: Sequence[Path]) -> None:
    from trace_retriever.errors import DataError
    from trace_retriever.kubeflow.compiled import Compiled
    from trace_retriever.kubeflow.lint import lint

    found = [f"{file}: {finding}" for file in files for finding in lint(Compiled.load(file))]
    if found:
        raise DataError("\n  ".join(["a cluster or the local runner would refuse:", *found]))
    click.echo(f"{len(files)} pipelines: nothing that only one side would take")


@pipeline.command("run")
@click.argument("name")
@_with_arguments
@click.option("--out", type=PATH, help="Directory of the run.  [default: runs/<name>-<time>]")
@_PIPELINES
def run_command(
    name: str,
    params: Path | None,
    overrides: Sequence[str],
    others: Sequence[str],
    out: Path | None,
    pipelines: Path,
) -> None:
    """Run a pipeline on this machine, each task a process; needs no cluster.

    The same command with the same --out goes on where a run stopped.
    """
    from trace_retriever.kubeflow.arguments import arguments_of
    from trace_retriever.kubeflow.compiled import Compiled, compiled_path
    from trace_retriever.kubeflow.local import new_run_name, run_local
    from trace_retriever.runner import git_commit

    compiled = Compiled.load(compiled_path(pipelines, name))
    arguments = arguments_of(compiled.parameters, compiled.defaults, params, overrides, others)
    directory = out or Path("runs", new_run_name(name))
    click.echo(f"{name}: run directory {directory}, log {directory}/run.log")
    entries = run_local(compiled, arguments, directory, commit=git_commit(), say=click.echo)
    click.echo(f"{name}: done, {len(entries)} tasks, report below {directory}/artifacts")


@pipeline.command("submit")
@click.argument("name")
@click.option("--host", required=True, envvar="KFP_HOST", help="Address of the KFP API, https://….")
@click.option("--namespace", help="Profile namespace, in a multi-user installation.")
@click.option("--experiment", default="trace", show_default=True)
@click.option("--token-file", type=PATH, help="Bearer token; read again whenever it is needed.")
@click.option("--token-env", metavar="NAME", help="Variable with the bearer token.")
@click.option("--ca-cert", type=PATH, help="Certificate authority of the host.")
@click.option("--service-account", help="Whose rights the run has.")
@_with_arguments
@click.option("--wait", is_flag=True, help="Wait for the end, say what happens; exit 1 if the run fails.")
@click.option("--timeout", type=float, default=86400.0, show_default=True, help="Seconds to wait at most.")
@click.option("--poll", type=float, default=10.0, show_default=True, help="Seconds between looks.")
@click.option(
    "--records", type=PATH, default=Path("results/runs"), show_default=True, help="Where to note it."
)
@_PIPELINES
def submit_command(
    name: str,
    params: Path | None,
    overrides: Sequence[str],
    others: Sequence[str],
    wait: bool,
    timeout: float,
    poll: float,
    records: Path,
    pipelines: Path,
    **server: Any,
) -> None:
    """Send a compiled pipeline to a cluster's KFP API (v2beta1) and start a run of it."""
    from trace_retriever.kubeflow.arguments import arguments_of
    from trace_retriever.kubeflow.compiled import Compiled, compiled_path
    from trace_retriever.kubeflow.submit import Server, follow, submit
    from trace_retriever.runner import git_commit

    compiled = Compiled.load(compiled_path(pipelines, name))
    arguments = arguments_of(compiled.parameters, compiled.defaults, params, overrides, others)
    api = Server(**server)
    run = submit(api, compiled, arguments, commit=git_commit(), records=records)
    click.echo(f"{name}: run {run} started, noted in {records}/{run}.json; commit that file")
    if wait:
        follow(api, run, records=records, timeout=timeout, poll=poll, say=click.echo)
        click.echo(f"{name}: run {run} succeeded")
