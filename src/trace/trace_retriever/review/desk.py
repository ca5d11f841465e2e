"""What the pages and the REST interface stand on, and who stands before them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request

from trace_retriever.config.review import ReviewSettings
from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Actor
from trace_retriever.review.dossier import Dossiers
from trace_retriever.review.identity import Gateway
from trace_retriever.review.problems import Problem
from trace_retriever.review.sessions import Session, Sessions, same
from trace_retriever.review.throttle import Throttle
from trace_retriever.review.users import Users


@dataclass(frozen=True)
class Desk:
    """Everything that requests share."""

    registry: Registry
    settings: ReviewSettings
    users: Users
    sessions: Sessions
    throttle: Throttle
    gateway: Gateway
    dossiers: Dossiers
    clock: Callable[[], datetime]

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; with https its prefix has browsers hold it to this host alone."""
        return "__Host-trace-review" if self.settings.https and not self.settings.prefix else "trace-review"


@dataclass(frozen=True)
class Visitor:
    """One browser's session.

    Attributes:
        actor: the user with their roles; None before a login.
        fresh: the session is new, so the answer sets its cookie.
    """

    desk: Desk
    session: Session
    fresh: bool
    actor: Actor | None

    @property
    def known(self) -> Actor:
        """The actor; `Problem` (401) where nobody has logged in."""
        if self.actor is None:
            raise Problem(401, "nobody is logged in", "log in and send the form again")
        return self.actor


def desk_of(request: Request) -> Desk:
    """The desk of the app that a request came to."""
    desk: Desk = request.app.state.desk
    return desk


def address_of(request: Request) -> str:
    """Where a request comes from: its peer, whatever its headers say."""
    return request.client.host if request.client else "unknown"


def visitor(request: Request) -> Visitor:
    """The browser that asks; `Problem` where it claims to be someone and may not, or asks too often."""
    desk = desk_of(request)
    desk.throttle.read(address_of(request))
    named = desk.gateway.user(request)
    session = _session(desk, request.cookies.get(desk.cookie), named)
    fresh = session is None
    if session is None:
        session = desk.sessions.start(named)
    actor = desk.registry.actor(session.user) if session.user is not None else None
    return Visitor(desk, session, fresh, actor)


def _session(desk: Desk, cookie: str | None, named: str | None) -> Session | None:
    """The session of a cookie, if it still is that of the same user, known in the same way."""
    session = desk.sessions.find(cookie)
    if session is None:
        return None
    if named is not None:
        holds = session.user == named and session.credential is None
    elif session.user is None:
        holds = True
    else:  # not behind the gateway any more, removed, or with another password since
        holds = session.credential is not None and session.credential == desk.users.credential(session.user)
    if not holds:
        desk.sessions.end(session)
    return session if holds else None


def check_form(request: Request, visitor: Visitor, form: str, csrf: str, once: str) -> None:
    """Whether a form was sent from a page of this session, and for the first time.

    Raises:
        Problem: 403 where another site may have sent it, 409 where it was sent before.
    """
    origin = request.headers.get("origin")
    if origin is not None and _host(origin) not in visitor.desk.settings.hosts:
        raise Problem(403, "the form was sent from another site")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "the form was sent from another site")
    if not same(csrf, visitor.session.csrf):
        raise Problem(403, "the form does not belong to this session", "open the page again and send it anew")
    if not visitor.desk.sessions.take(visitor.session, form, once):
        raise Problem(
            409, "this form was sent before, or was open for too long", "open the page again and look at it"
        )


def _host(origin: str) -> str:
    host = origin.partition("://")[2]
    return host if host.startswith("[") and host.endswith("]") else host.rpartition(":")[0] or host


def bearer(request: Request) -> Actor:
    """Who calls the REST interface: the holder of a token, and nothing else counts.

    Raises:
        Problem: 401 without a valid token, 429 where it calls too often.
    """
    desk = desk_of(request)
    desk.throttle.read(address_of(request))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    holder = desk.users.holder(token.strip(), desk.clock()) if scheme.lower() == "bearer" else None
    if holder is None:
        raise Problem(401, "a valid token is needed", "`trace review add-token NAME` makes one")
    return desk.registry.actor(holder)
