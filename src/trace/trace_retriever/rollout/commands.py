"""The commands `trace deploy …`: render what the cluster gets, apply it, or roll a version out here."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trace_retriever.registry.registry import Registry
    from trace_retriever.registry.types import Version

PATH = click.Path(path_type=Path)


@click.group("deploy")
def deploy() -> None:
    """Put an approved version into service: on this machine, or as KServe objects of a cluster."""


_SERVING = click.option(
    "--serving", type=PATH, default=Path("deploy/serving.yaml"), show_default=True, help="Serving settings."
)


@deploy.command("render")
@_SERVING
@click.option("--deployer", default="pipeline-runner", show_default=True, help="Account that may deploy.")
@click.option("--out", type=PATH, default=Path("deploy/serving"), show_default=True, help="Where to.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file is not current.")
def render_command(serving: Path, deployer: str, out: Path, check: bool) -> None:
    """Render the pinned versions' KServe objects, in both modes, and the rights to them."""
    from trace_retriever.config.deploy import load_deploy
    from trace_retriever.errors import DataError
    from trace_retriever.io.files import write_atomic
    from trace_retriever.kubernetes.manifests import drifted
    from trace_retriever.kubernetes.serving_manifests import serving_manifests

    files = serving_manifests(load_deploy(serving), deployer)
    if check:
        if names := drifted(out, files):
            raise DataError(f"not current: {', '.join(names)}", where=out, remedy="run `trace deploy render`")
        click.echo(f"{out}/ is current")
        return
    for name, text in files.items():
        write_atomic(out / name, text)
        click.echo(f"{out / name}: {len(text):,} bytes")


@deploy.command("apply")
@_SERVING
@click.option("--timeout", type=float, default=600.0, show_default=True, help="Seconds to wait at most.")
@click.option("--poll", type=float, default=2.0, show_default=True, help="Seconds between looks.")
def apply_command(serving: Path, timeout: float, poll: float) -> None:
    """Apply the pinned versions to the cluster of the kubeconfig, and wait until they are ready."""
    from trace_retriever.config.deploy import load_deploy
    from trace_retriever.kubernetes.inference_service import serving_objects
    from trace_retriever.kubernetes.serving_api import ServingObjects

    settings = load_deploy(serving)
    objects = ServingObjects(settings.namespace)
    applied = {}
    for body in serving_objects(settings, settings.champion, settings.canary, settings.canary_percent):
        applied = objects.apply(body)
        click.echo(f"{body['kind']} {settings.namespace}/{body['metadata']['name']}: applied")
    found = objects.wait_ready(applied, timeout=timeout, poll=poll, say=click.echo)
    click.echo(
        f"{settings.name}: ready at {found.get('status', {}).get('url', 'an address KServe does not tell')}"
    )


@deploy.command("local")
@click.option("--name", default="trace", show_default=True, help="Model in the registry.")
@click.option("--version", "number", help="Version.  [default: the canary, or the one that is approved]")
@click.option("--url", envvar="TRACE_REGISTRY", help="Registry, as an SQLAlchemy URL.  [default: .trace/]")
@click.option(
    "--rules", type=PATH, default=Path("deploy/promotion.yaml"), show_default=True, help="Promotion rules."
)
@click.option("--as", "user", help="Who deploys.  [default: login name]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where clients reach the split.")
@click.option("--port", default=8080, show_default=True, help="Its port; 0 takes any.")
@click.option(
    "--traffic", type=float, default=0.0, show_default=True, help="Requests a second to send oneself."
)
@click.option("--smoke/--no-smoke", default=True, help="Compare answers with the model's own before traffic.")
@click.option("--serve-option", "options", multiple=True, help="Passed to `trace serve`; repeatable.")
@click.option("--keep", is_flag=True, help="Go on serving the new champion until interrupted.")
@click.option(
    "--logs", type=PATH, default=Path(".trace/deploy"), show_default=True, help="Logs of the servers."
)
def local_command(
    name: str,
    number: str | None,
    url: str | None,
    rules: Path,
    user: str | None,
    host: str,
    port: int,
    traffic: float,
    smoke: bool,
    options: Sequence[str],
    keep: bool,
    logs: Path,
) -> None:
    """Champion and canary behind a weighted split; promoted or sent back by the rules.

    Exits with 3 when the version goes back. The same command takes a killed rollout up again.
    """
    import signal

    from trace_retriever.config.promotion import load_promotion
    from trace_retriever.rollout.command import serve_command
    from trace_retriever.rollout.local import Local, deploy_local

    signal.signal(signal.SIGTERM, _interrupt)
    promotion = load_promotion(rules)
    how = Local(
        host=host,
        port=port,
        logs=logs,
        traffic=traffic,
        smoke=smoke,
        command=lambda version, port: serve_command(version, port, options),
        on_promoted=_until_interrupted if keep else None,
    )
    with open_from(url, rules) as registry:
        version = chosen(registry, name, number)
        by = registry.actor(user or _login())
        deploy_local(registry, version, by=by, rules=promotion.rollout, how=how, say=click.echo)
        registry.deliver()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _until_interrupted(address: str) -> None:
    """Serve on; Ctrl-C is how this ends."""
    import signal
    from contextlib import suppress

    click.echo(f"serving at {address}; Ctrl-C ends it")
    with suppress(KeyboardInterrupt):
        signal.pause()


def _login() -> str:
    import getpass

    return getpass.getuser()


def open_from(url: str | None, rules: Path) -> "Registry":
    """The registry of the command line's options."""
    from trace_retriever.config.promotion import load_promotion
    from trace_retriever.registry.registry import DEFAULT_URL, open_registry

    return open_registry(url or DEFAULT_URL, load_promotion(rules).registry)


def chosen(registry: "Registry", name: str, number: str | None) -> "Version":
    """The version that was named, else the canary, else the one that is approved.

    Raises:
        RolloutError: there is none, or several are approved.
    """
    from trace_retriever.registry.types import State
    from trace_retriever.rollout.errors import RolloutError

    if number is not None:
        return registry.version(name, number)
    if canary := registry.canary(name):
        return canary
    approved = registry.versions(name, State.APPROVED)
    if len(approved) != 1:
        listed = ", ".join(version.version for version in approved) or "none"
        raise RolloutError(f"approved versions of {name}: {listed}", remedy="name one with --version")
    return approved[0]
