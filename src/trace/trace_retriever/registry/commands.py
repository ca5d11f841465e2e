"""The commands `trace registry …`: versions, requests, decisions, and what is in production."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trace_retriever.registry.registry import Registry
    from trace_retriever.registry.types import Actor

PATH = click.Path(path_type=Path)
STATES = ("candidate", "requested", "approved", "rejected", "canary", "production", "retired")
URL = "sqlite:///.trace/registry.db"
_SHARED = (
    click.option(
        "--url",
        envvar="TRACE_REGISTRY",
        default=URL,
        show_default=True,
        help="Database, as SQLAlchemy names it.",
    ),
    click.option("--rules", type=PATH, help="Who may do what.  [default: deploy/promotion.yaml, if there]"),
    click.option("--json", "as_data", is_flag=True, help="Print JSON."),
)
_WHO = click.option("--as", "who", metavar="NAME", help="Who acts.  [default: the login name]")
_WHY = click.option("--why", required=True, help="Reason; it goes into the log.")
_EVIDENCE = click.option(
    "--evidence", required=True, metavar="SHA256", help="Digest of the evidence you saw: `registry show`."
)


def _with(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_reads = _with(*_SHARED)
_acts = _with(*_SHARED, _WHO)
_one = _with(click.argument("name"), click.argument("version"))


@contextmanager
def _opened(url: str, rules: Path | None) -> "Iterator[Registry]":
    from trace_retriever.config.promotion import PROMOTION, Promotion, load_promotion
    from trace_retriever.registry.registry import open_registry

    known = load_promotion(rules or PROMOTION) if rules or PROMOTION.exists() else Promotion()
    with open_registry(url, known.registry) as registry:
        yield registry


@contextmanager
def _acting(url: str, rules: Path | None, who: str | None) -> "Iterator[tuple[Registry, Actor]]":
    """A registry and who acts; afterwards, messages are sent, and what waits is said."""
    import getpass

    with _opened(url, rules) as registry:
        yield registry, registry.actor(who or getpass.getuser())
        if registry.rules.webhooks:
            sent = registry.deliver(tries=1, seconds=3.0)
            if sent.waiting or sent.failed:
                told = f"webhooks: {sent.waiting} waiting, {sent.failed} given up"
                click.echo(f"{told}; `trace registry deliver` sends them", err=True)


def _say(value: Any, as_data: bool, text: str) -> None:
    from trace_retriever.registry.text import as_json

    click.echo(as_json(value) if as_data else text)


@click.group("registry")
def registry_group() -> None:
    """Versions of a model: register, request, approve, and what is in production."""


@registry_group.command("register")
@click.argument("path", type=PATH, default=Path("models/registered"))
@click.option("--index", type=PATH, help="Embeddings of its candidates, such as embeddings/trace.")
@click.option("--uri", help="Where serving fetches the package, instead of a copy in the store.")
@click.option("--commit", help="Commit of the source that made it.  [default: as the step noted it]")
@click.option("--run", help="Pipeline run that made it.  [default: as the step noted it]")
@click.option(
    "--made",
    type=PATH,
    default=Path("results/register/manifest.json"),
    show_default=True,
    help="The step's note of commit and run; read where it is about this package.",
)
@_acts
def register_command(
    path: Path,
    index: Path | None,
    uri: str | None,
    commit: str | None,
    run: str | None,
    made: Path,
    url: str,
    rules: Path | None,
    as_data: bool,
    who: str | None,
) -> None:
    """Verify what `trace register` left, keep its bytes by digest, and take it in as a candidate."""
    from trace_retriever.registry.packages import origin

    with _acting(url, rules, who) as (registry, by):
        noted = origin(path, made)
        found = registry.register(
            path, by=by, index=index, uri=uri, commit=commit or noted[0], run=run or noted[1]
        )
        _say(found, as_data, f"{found.label}: {found.state}\nmanifest {found.digests['manifest']}")


@registry_group.command("list")
@click.option("--name", help="Only versions of this name.")
@click.option("--state", type=click.Choice(STATES), help="Only versions in this state.")
@click.option("--requests", "asked", is_flag=True, help="Requests instead of versions.")
@_reads
def list_command(
    name: str | None, state: str | None, asked: bool, url: str, rules: Path | None, as_data: bool
) -> None:
    """List versions and their states, or requests; the newest first."""
    from trace_retriever.registry.text import requests_table, versions_table
    from trace_retriever.registry.types import State

    with _opened(url, rules) as registry:
        if asked:
            found = [one for one in registry.requests() if name in (None, one.name)]
            _say(found, as_data, requests_table(found))
        else:
            versions = registry.versions(name, State(state) if state else None)
            _say(versions, as_data, versions_table(versions))


@registry_group.command("show")
@_one
@_reads
def show_command(name: str, version: str, url: str, rules: Path | None, as_data: bool) -> None:
    """Show a version: its digests (the evidence's among them), gates and requests."""
    from trace_retriever.registry.text import about_version

    with _opened(url, rules) as registry:
        found = registry.version(name, version)
        asked = [one for one in registry.requests() if one.label == found.label]
        _say({"version": found, "requests": asked}, as_data, about_version(found, asked))


@registry_group.command("md5")
@click.argument("name")
@click.argument("version", required=False)
@_reads
def md5_command(name: str, version: str | None, url: str, rules: Path | None, as_data: bool) -> None:
    """Print the md5 by which pipelines fetch a version: `--arg champion=`, `--arg model=`.

    It is that of the version in production if none is named, and is the one of dvc.lock.
    """
    from trace_retriever.registry.dvc import md5_of_version

    with _opened(url, rules) as registry:
        found = md5_of_version(registry, name, version)
        _say({"md5": found}, as_data, found)


@registry_group.command("request")
@_one
@_WHY
@_acts
def request_command(
    name: str, version: str, why: str, url: str, rules: Path | None, as_data: bool, who: str | None
) -> None:
    """Ask for a candidate to be put into production."""
    from trace_retriever.registry.text import minute

    with _acting(url, rules, who) as (registry, by):
        asked = registry.request(registry.version(name, version), by=by, why=why)
        _say(asked, as_data, f"request {asked.id}: {asked.label}, open until {minute(asked.expires)} UTC")


def _decision(verb: str, text: str) -> None:
    @registry_group.command(verb, help=text)
    @click.argument("request_id", metavar="REQUEST", type=int)
    @_WHY
    @_EVIDENCE
    @_acts
    def command(
        request_id: int,
        why: str,
        evidence: str,
        url: str,
        rules: Path | None,
        as_data: bool,
        who: str | None,
    ) -> None:
        with _acting(url, rules, who) as (registry, by):
            decide = registry.approve if verb == "approve" else registry.reject
            asked = decide(request_id, by=by, why=why, evidence=evidence)
            _say(asked, as_data, f"request {asked.id}: {asked.label} {asked.state}")


_decision("approve", "Say yes to a request, having seen the evidence of that digest.")
_decision("reject", "Say no to a request, having seen the evidence of that digest.")


@registry_group.command("withdraw")
@click.argument("request_id", metavar="REQUEST", type=int)
@_WHY
@_acts
def withdraw_command(
    request_id: int, why: str, url: str, rules: Path | None, as_data: bool, who: str | None
) -> None:
    """Take an open request back."""
    with _acting(url, rules, who) as (registry, by):
        asked = registry.withdraw(request_id, by=by, why=why)
        _say(asked, as_data, f"request {asked.id}: {asked.label} {asked.state}")


def _deployment(verb: str, method: str, text: str) -> None:
    @registry_group.command(verb, help=text)
    @_one
    @_WHY
    @_acts
    def command(
        name: str, version: str, why: str, url: str, rules: Path | None, as_data: bool, who: str | None
    ) -> None:
        with _acting(url, rules, who) as (registry, by):
            found = getattr(registry, method)(name, version, by=by, why=why)
            _say(found, as_data, f"{found.label}: {found.state}")


_deployment("canary", "start_canary", "Note that an approved version gets a part of the traffic.")
_deployment("promote", "promote", "Note that the canary is in production; what was there retires.")
_deployment("abort", "abort_canary", "Note that the canary is given up.")


@registry_group.command("rollback")
@click.argument("name")
@_WHY
@_acts
def rollback_command(
    name: str, why: str, url: str, rules: Path | None, as_data: bool, who: str | None
) -> None:
    """Put back what was in production before the version that is."""
    with _acting(url, rules, who) as (registry, by):
        found = registry.rollback(name, by=by, why=why)
        _say(found, as_data, f"{found.label}: {found.state}")


@registry_group.command("log")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only entries after this one.")
@click.option("--limit", type=click.IntRange(min=1), help="That many at most.")
@_reads
def log_command(after: int, limit: int | None, url: str, rules: Path | None, as_data: bool) -> None:
    """Print the log: who did what, when and why."""
    from trace_retriever.registry.text import entries_table

    with _opened(url, rules) as registry:
        entries = registry.log(after, limit=limit)
        _say(entries, as_data, entries_table(entries))


@registry_group.command("verify")
@click.option("--head", metavar="SHA256", help="A hash noted before, which the log must contain.")
@_reads
def verify_command(head: str | None, url: str, rules: Path | None, as_data: bool) -> None:
    """Recompute the log's hashes, and hold the tables against what the log says."""
    with _opened(url, rules) as registry:
        count, last = registry.verify_log(head), registry.head()
    text = f"{count} entries, each as it was written; the tables are what they say\nhead {last}"
    _say({"entries": count, "head": last}, as_data, text)


@registry_group.command("deliver")
@_reads
def deliver_command(url: str, rules: Path | None, as_data: bool) -> None:
    """Send the webhooks that wait."""
    with _opened(url, rules) as registry:
        sent = registry.deliver()
        text = f"{sent.delivered} delivered, {sent.waiting} waiting, {sent.failed} given up"
        _say(sent, as_data, text)
