"""From the tables' rows to what the registry hands out."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from trace_retriever.config.promotion import Act
from trace_retriever.registry import tables
from trace_retriever.registry.errors import NotFound
from trace_retriever.registry.types import Decision, Entry, Request, RequestState, State, Version

VERSIONS, REQUESTS, DECISIONS = tables.versions.c, tables.requests.c, tables.decisions.c


def version_of(row: Row[Any]) -> Version:
    """A version from its row."""
    return Version(
        id=row.id,
        name=row.name,
        version=row.version,
        state=State(row.state),
        package=row.package,
        digests=row.digests,
        gates=row.gates,
        index=row.index_path,
        commit=row.commit_hash,
        run=row.run,
        registered_by=row.registered_by,
        registered_at=row.registered_at,
        changed_at=row.changed_at,
        replaced=row.replaced,
    )


def find_versions(connection: Connection, *conditions: Any) -> list[Version]:
    """Versions that meet all conditions, the newest first."""
    query = select(tables.versions).where(*conditions).order_by(VERSIONS.id.desc())
    return [version_of(row) for row in connection.execute(query)]


def find_version(connection: Connection, name: str, version: str) -> Version:
    """One version.

    Raises:
        NotFound: there is none; says which there are.
    """
    found = find_versions(connection, VERSIONS.name == name, VERSIONS.version == version)
    if not found:
        others = connection.scalars(
            select(VERSIONS.version).where(VERSIONS.name == name).order_by(VERSIONS.id.desc()).limit(5)
        )
        known = ", ".join(others)
        remedy = f"there are: {known}" if known else "register it: trace registry register PATH"
        raise NotFound(f"no version {name} {version}", remedy=remedy)
    return found[0]


def in_state(connection: Connection, name: str, state: State) -> Version | None:
    """The one version of a name in a state that only one can be in."""
    found = find_versions(connection, VERSIONS.name == name, VERSIONS.state == state)
    return found[0] if found else None


def find_requests(connection: Connection, *conditions: Any) -> list[Request]:
    """Requests that meet all conditions, with their decisions, the newest first."""
    query: Select[Any] = (
        select(tables.requests, VERSIONS.name, VERSIONS.version)
        .join(tables.versions, REQUESTS.version_id == VERSIONS.id)
        .where(*conditions)
        .order_by(REQUESTS.id.desc())
    )
    rows = connection.execute(query).all()
    decided = _decisions(connection, [row.id for row in rows])
    return [_request_of(row, decided.get(row.id, [])) for row in rows]


def find_request(connection: Connection, request_id: int) -> Request:
    """One request.

    Raises:
        NotFound: there is none.
    """
    found = find_requests(connection, REQUESTS.id == request_id)
    if not found:
        raise NotFound(f"no request {request_id}", remedy="see `trace registry list --requests`")
    return found[0]


def _decisions(connection: Connection, requests: Sequence[int]) -> dict[int, list[Decision]]:
    query = select(tables.decisions).where(DECISIONS.request_id.in_(requests)).order_by(DECISIONS.id)
    found: dict[int, list[Decision]] = {}
    for row in connection.execute(query):
        decision = Decision(by=row.actor, at=row.at, approve=row.approve, why=row.why, evidence=row.evidence)
        found.setdefault(row.request_id, []).append(decision)
    return found


def _request_of(row: Row[Any], decided: Sequence[Decision]) -> Request:
    return Request(
        id=row.id,
        name=row.name,
        version=row.version,
        digest=row.digest,
        state=RequestState(row.state),
        requested_by=row.requested_by,
        why=row.why,
        created=row.created,
        expires=row.expires,
        closed=row.closed,
        decisions=tuple(decided),
    )


def find_entries(connection: Connection, after: int, limit: int | None) -> list[Entry]:
    """Entries of the log after one, in order."""
    query = select(tables.log).where(tables.log.c.seq > after).order_by(tables.log.c.seq).limit(limit)
    return [Entry(**(row._asdict() | {"act": Act(row.act)})) for row in connection.execute(query)]
