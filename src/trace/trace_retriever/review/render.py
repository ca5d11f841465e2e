"""Templates of the pages, and how figures and times are written in them."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from trace_retriever.io.html import MISSING
from trace_retriever.review.desk import Desk, Visitor
from trace_retriever.review.problems import Problem


@cache
def templates() -> Environment:
    """The templates; everything that is put in is escaped."""
    environment = Environment(
        loader=PackageLoader("trace_retriever.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "figure": figure,
        "signed": lambda value: MISSING if value is None else f"{value:+.3f}",
        "percent": lambda value: MISSING if value is None else f"{100 * value:.0f} %",
        "interval": lambda ends: MISSING if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
        "moment": moment,
        "short": short,
    }
    environment.filters.update(filters)
    return environment


def figure(value: float | None) -> str:
    """Three decimals; whole numbers without."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if value == int(value) and abs(value) > 1 else f"{value:.3f}"


def moment(at: datetime) -> str:
    """A time for people, to the minute, in UTC."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def short(digest: str | None) -> str:
    """The first twelve digits of a digest."""
    return MISSING if not digest else digest.removeprefix("sha256:")[:12]


def page(visitor: Visitor, template: str, *, status: int = 200, **content: Any) -> Response:
    """A page as an answer, with the session's cookie where that is new."""

    def once(form: str) -> str:
        return visitor.desk.sessions.give(visitor.session, form)

    body = templates().get_template(template).render(
        user=visitor.actor,
        csrf=visitor.session.csrf,
        once=once,
        link=lambda path: visitor.desk.settings.prefix + path,
        local=visitor.session.credential is not None,
        **content,
    )  # fmt: skip
    return with_cookie(visitor, HTMLResponse(body, status))


def arrived() -> Response:
    """For who followed a link from another site: their cookie did not come along (it is strict).

    A page that loads itself again, which is then a request of this site, and brings it. It sets no cookie:
    that would end the session that they may have.
    """
    return HTMLResponse(templates().get_template("arrived.html.j2").render())


def redirect(visitor: Visitor, path: str) -> Response:
    """Send the browser on; the path is one of this page's own."""
    return with_cookie(visitor, RedirectResponse(visitor.desk.settings.prefix + path, 303))


def with_cookie(visitor: Visitor, answer: Response) -> Response:
    """Put the cookie of a new session on an answer."""
    if visitor.fresh:
        settings = visitor.desk.settings
        answer.set_cookie(
            visitor.desk.cookie,
            visitor.desk.sessions.cookie(visitor.session),
            httponly=True,
            secure=settings.https,
            samesite="strict",
            path=settings.prefix or "/",
        )
    return answer


def problem_page(desk: Desk, problem: Problem) -> Response:
    """A refusal as a page."""
    body = templates().get_template("problem.html.j2").render(
        problem=problem, user=None, csrf="", local=False, link=lambda path: desk.settings.prefix + path
    )  # fmt: skip
    return HTMLResponse(body, problem.status, headers=problem.headers)
