"""The command `trace`: one verb a step, its options read from the table of steps."""

import errno
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from trace_retriever import __version__
from trace_retriever.demo_app.commands import demo_app
from trace_retriever.errors import TraceError
from trace_retriever.kubeflow.commands import pipeline
from trace_retriever.kubernetes.commands import train_job_group
from trace_retriever.registry.commands import registry_group
from trace_retriever.review.commands import review
from trace_retriever.rollout.commands import deploy
from trace_retriever.serving.commands import index_command, serve_command
from trace_retriever.step import STEPS, Step

PATH = click.Path(path_type=Path)
_MACHINE_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="trace")
def trace() -> None:
    """TRACE on Kubeflow: from pictures and words to a gated retriever that reasons, then encodes."""


def _step_command(step: Step) -> click.Command:
    def run(
        params: Path | None, overrides: Sequence[str], out: Path, report: Path, **inputs: Path | None
    ) -> None:
        from trace_retriever.config import load_section
        from trace_retriever.runner import run_step

        if params is None and Path("params.yaml").exists():
            params = Path("params.yaml")
        config = load_section(step.name, params, overrides)
        given = {key: path for key, path in inputs.items() if path is not None}
        metrics = run_step(step.name, config, inputs=given, out=out, report=report)
        _print_metrics(step.name, metrics, report)

    options: list[click.Parameter] = [
        click.Option(["--params"], type=PATH, help="Params file.  [default: params.yaml, if there]"),
        click.Option(
            ["--set", "overrides"],
            multiple=True,
            metavar="SECTION.KEY=VALUE",
            help="Override a param; repeatable.",
        ),
        *(
            click.Option([f"--{key}"], type=PATH, help=f"Input.  [default: {path or 'none'}]")
            for key, path in {**step.inputs, **step.optional}.items()
        ),
        click.Option(
            ["--out"], type=PATH, default=Path(step.out), show_default=True, help="Output directory."
        ),
        click.Option(
            ["--report"], type=PATH, default=Path(step.report), show_default=True, help="Report directory."
        ),
    ]
    return click.Command(step.name, callback=run, params=options, help=step.summary)


def _print_metrics(name: str, metrics: dict[str, Any], report: Path) -> None:
    click.echo(f"{name}: done, report in {report}/")
    for key, value in metrics.items():
        if not isinstance(value, dict | list):
            click.echo(f"  {key:<32} {value:.4f}" if isinstance(value, float) else f"  {key:<32} {value}")


for _step in STEPS.values():
    trace.add_command(_step_command(_step))
trace.add_command(pipeline)
trace.add_command(train_job_group)
trace.add_command(registry_group)
trace.add_command(index_command)
trace.add_command(serve_command)
trace.add_command(deploy)
trace.add_command(review)
trace.add_command(demo_app)


@trace.command("ask")
@click.option(
    "--model", type=PATH, default=Path("models/registered"), show_default=True, help="Model directory."
)
@click.option("--dataset", type=PATH, default=Path("data/mbeir"), show_default=True, help="M-BEIR data set.")
@click.option(
    "--query",
    "names",
    multiple=True,
    required=True,
    metavar="PAIR[:N]",
    help="Test query N of a pair; repeatable.",
)
@click.option("--reason", type=click.Choice(["auto", "never", "always"]), default="auto", show_default=True)
@click.option(
    "--sheet", type=PATH, default=Path("results/ask/sheet.png"), show_default=True, help="Picture sheet."
)
def ask_command(model: Path, dataset: Path, names: Sequence[str], reason: Any, sheet: Path) -> None:
    """Answer test queries: the model's trace, its route, what it finds, as text and as a picture sheet."""
    from trace_retriever.ask import ask, describe, parse_query, picture_sheet
    from trace_retriever.mbeir.layout import Layout
    from trace_retriever.model.bundle import load_model

    layout, loaded = Layout(dataset), load_model(model)
    answers = []
    for name in names:
        pair, number = parse_query(name)
        answers.append(ask(loaded, layout, pair, number, reason=reason))
        click.echo(f"{describe(answers[-1])}\n")
    if answers:
        picture_sheet(answers, dataset, sheet)
        click.echo(f"picture sheet: {sheet}")


@trace.command("doctor")
@click.option("--json", "as_data", is_flag=True, help="Print the diagnosis as JSON.")
def doctor_command(as_data: bool) -> None:
    """Say what this machine has and lacks; exit 1 when something is missing that the chain needs."""
    import json

    from trace_retriever.doctor import as_json, describe, diagnose, healthy

    checks = diagnose()
    click.echo(json.dumps(as_json(checks), indent=2) if as_data else describe(checks))
    if not healthy(checks):
        sys.exit(1)


@trace.command("verify")
@click.argument("path", type=PATH, default=Path("models/registered"))
@click.option("--digest", metavar="SHA256", help="Digest that the manifest itself must have.")
def verify_command(path: Path, digest: str | None) -> None:
    """Check a registered model: every file by its digest, its evidence and its verdict."""
    from trace_retriever.cards.manifest import MANIFEST, verify_registered
    from trace_retriever.io.files import digest_file

    manifest = verify_registered(path, digest)
    count = len(manifest["files"])
    click.echo(f"{manifest['name']} {manifest['version']}: {count} files as they were registered")
    click.echo(f"manifest {digest_file(path / MANIFEST)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in a message and a non-zero exit, never in a traceback."""
    try:
        trace.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
    except TraceError as error:
        _fail(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; the same command continues where it stopped", 130)
    except OSError as error:
        if error.errno not in _MACHINE_FAULTS:
            raise
        where = f"\n  where:  {error.filename}" if error.filename else ""
        _fail(f"{error.strerror}{where}\n  remedy: free space or rights, then rerun", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
