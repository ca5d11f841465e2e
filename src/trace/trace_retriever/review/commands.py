"""The commands `trace review …`: serve the page, and keep the file of its users."""

from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
PASSWORD = "TRACE_REVIEW_PASSWORD"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SETTINGS = click.option("--settings", type=PATH, help="Settings of the page, such as deploy/review.yaml.")


@click.group("review", invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any.")
@click.option("--url", help="The registry's database.  [default: $TRACE_REGISTRY, or the one of this folder]")
@click.option("--rules", type=PATH, help="Who may do what.  [default: deploy/promotion.yaml]")
@_SETTINGS
@click.pass_context
def review(
    context: click.Context, host: str, port: int, url: str | None, rules: Path | None, settings: Path | None
) -> None:
    """Serve the review page: requests, their evidence beside the champion's, and decisions."""
    if context.invoked_subcommand is not None:
        return
    import os

    import uvicorn

    from trace_retriever.config.promotion import PROMOTION, load_promotion
    from trace_retriever.config.review import load_review
    from trace_retriever.registry.registry import DEFAULT_URL, VARIABLE, open_registry
    from trace_retriever.review.app import create_app

    chosen = load_review(settings)
    _check_exposure(host, chosen)
    registry = open_registry(
        url or os.environ.get(VARIABLE) or DEFAULT_URL, load_promotion(rules or PROMOTION).registry
    )
    app = create_app(registry, chosen)
    click.echo(f"review page: http://{host}:{port}{chosen.prefix}/", err=True)
    try:
        # Who a peer is comes from the socket: uvicorn must not believe X-Forwarded-For.
        uvicorn.run(
            app, host=host, port=port, proxy_headers=False, server_header=False, log_level="info",
            timeout_keep_alive=10, limit_concurrency=200, h11_max_incomplete_event_size=32_768,
        )  # fmt: skip
    finally:
        registry.close()


def _check_exposure(host: str, settings: Any) -> None:
    """A password or token must not cross a network in the clear."""
    from trace_retriever.errors import ConfigError

    if host not in LOOPBACK and not settings.https:
        raise ConfigError(
            f"listening on {host} without https: passwords, cookies and tokens could be read on the way",
            remedy="put a gateway that ends https before it and set https: true in --settings",
        )


def _users(settings: Path | None) -> Any:
    from trace_retriever.config.review import load_review
    from trace_retriever.review.users import Users

    return Users(Path(load_review(settings).users))


@review.command("add-user")
@click.argument("name")
@_SETTINGS
def add_user(name: str, settings: Path | None) -> None:
    """Add a user, or set a new password: asked for, or from $TRACE_REVIEW_PASSWORD; never an argument."""
    import os

    password = os.environ.get(PASSWORD) or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    users = _users(settings)
    users.add(name, password)
    click.echo(f"{name}: may log in ({users.path}); what they may do is in the rules")


@review.command("remove-user")
@click.argument("name")
@_SETTINGS
def remove_user(name: str, settings: Path | None) -> None:
    """Remove a user with all tokens; their sessions end."""
    _users(settings).remove(name)
    click.echo(f"{name}: removed")


@review.command("add-token")
@click.argument("name")
@click.option(
    "--days", default=90.0, show_default=True, type=click.FloatRange(0.01, 3650), help="How long it is valid."
)
@_SETTINGS
def add_token(name: str, days: float, settings: Path | None) -> None:
    """Make a token for the REST interface; it is printed once and only its digest is kept."""
    click.echo(_users(settings).add_token(name, days))


@review.command("remove-tokens")
@click.argument("name")
@_SETTINGS
def remove_tokens(name: str, settings: Path | None) -> None:
    """Take all tokens of a user away."""
    _users(settings).remove_tokens(name)
    click.echo(f"{name}: no tokens")
