"""One act while it happens: the state it finds, the moves it makes, the entry that it leaves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from trace_retriever.config.promotion import Act, RegistryRules
from trace_retriever.registry import chain, tables, webhooks
from trace_retriever.registry.errors import Conflict
from trace_retriever.registry.rows import REQUESTS, VERSIONS, find_requests, find_version
from trace_retriever.registry.types import CLOCK, Request, RequestState, State, Version

Moves = list[tuple[str, State, State]]


@dataclass(frozen=True)
class Change:
    """An act's transaction, which no other writer runs beside.

    Attributes:
        now: the one time of the act: of its entry, its rows and its check of what expired.
    """

    connection: Connection
    rules: RegistryRules
    now: datetime

    def move(self, version: Version, new: State, **values: Any) -> tuple[str, State, State]:
        """Move a version from the state it was read in; returns the move for the log.

        Raises:
            Conflict: it is in another state by now.
        """
        change = (
            update(tables.versions)
            .where(VERSIONS.id == version.id, VERSIONS.state == version.state)
            .values(state=new, changed_at=self.now, **values)
        )
        if self.connection.execute(change).rowcount != 1:
            raise Conflict(f"{version.label} is no longer {version.state}", remedy="look again")
        return (version.label, version.state, new)

    def close(self, request: Request, new: RequestState, **values: Any) -> None:
        """Move a request from the state it was read in.

        Raises:
            Conflict: it is in another state by now.
        """
        closed = request.closed or self.now
        change = (
            update(tables.requests)
            .where(REQUESTS.id == request.id, REQUESTS.state == request.state)
            .values(state=new, closed=closed, **values)
        )
        if self.connection.execute(change).rowcount != 1:
            raise Conflict(f"request {request.id} is no longer {request.state}", remedy="look again")

    def next_id(self, table: Any) -> int:
        """The number of a table's next row: no gaps, since nobody else writes now."""
        return (self.connection.scalar(select(func.max(table.c.id))) or 0) + 1

    def note(
        self, actor: str, act: Act, subject: str, details: Mapping[str, Any], moves: Iterable[Any] = ()
    ) -> None:
        """Write the act's entry, and the messages that it sends, in the act's own transaction."""
        entry = chain.append(
            self.connection,
            at=self.now,
            actor=actor,
            act=act,
            subject=subject,
            details={**details, "moves": [list(move) for move in moves]},
        )
        rows = webhooks.messages(self.rules.webhooks, entry)
        first = self.next_id(tables.outbox)
        if rows:
            numbered = [{"id": number, **row} for number, row in enumerate(rows, first)]
            self.connection.execute(insert(tables.outbox), numbered)


def need_state(version: Version, state: State, to: str) -> None:
    """Refuse an act on a version that is elsewhere.

    Raises:
        Conflict: it is.
    """
    if version.state != state:
        raise Conflict(f"{version.label} is {version.state}; only what is {state} can be {to}")


def due(now: datetime) -> Any:
    """The condition that a request's time has passed: to decide on it, or to use the approval."""
    unused = and_(REQUESTS.state == RequestState.APPROVED, VERSIONS.state == State.APPROVED)
    return and_(REQUESTS.expires <= now, or_(REQUESTS.state == RequestState.OPEN, unused))


def expire(change: Change) -> None:
    """Mark what expired; its versions are candidates again."""
    for request in reversed(find_requests(change.connection, due(change.now))):
        version = find_version(change.connection, request.name, request.version)
        change.close(request, RequestState.EXPIRED)
        moved = change.move(version, State.CANDIDATE)
        details = {"request": request.id, "request_state": RequestState.EXPIRED, "digest": request.digest}
        change.note(CLOCK, Act.EXPIRE, request.label, details, [moved])


def hours(count: float) -> timedelta:
    """That many hours."""
    return timedelta(hours=count)
