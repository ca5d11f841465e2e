"""The tables, the same for SQLite and PostgreSQL; what keeps them honest is in `migrations`."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect

from trace_retriever.registry.types import Act, RequestState, State

FORM = "%Y-%m-%dT%H:%M:%S.%fZ"


def stamp(at: datetime) -> str:
    """A time as database and log hold it: UTC, with microseconds, so that texts sort as times do."""
    return at.astimezone(UTC).strftime(FORM)


def canonical(value: Any) -> str:
    """JSON in one form only: keys sorted, no spaces; equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Instant(TypeDecorator[datetime]):
    """A time as text in one form, since SQLite has no type for it."""

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To text."""
        return None if value is None else stamp(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From text."""
        return None if value is None else datetime.strptime(value, FORM).replace(tzinfo=UTC)


class Json(TypeDecorator[Any]):
    """Canonical JSON as text: hashes are taken over it, so no database may reformat it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """To text."""
        return None if value is None else canonical(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """From text."""
        return None if value is None else json.loads(value)


def one_of(column: str, *values: str) -> CheckConstraint:
    """A column holds one of some words."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

moves = Table(
    "trace_moves",
    metadata,
    Column("subject", String(16), primary_key=True),
    Column("from_state", String(16), primary_key=True),
    Column("to_state", String(16), primary_key=True),
)

versions = Table(
    "trace_versions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("package", Text, nullable=False),
    Column("manifest", String(71), nullable=False),
    Column("evidence", String(71), nullable=False),
    Column("digests", Json, nullable=False),
    Column("gates", Json, nullable=False),
    Column("index_path", Text),
    Column("commit_hash", String(64)),
    Column("run", String(128)),
    Column("registered_by", String(128), nullable=False),
    Column("registered_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("replaced", String(64)),
    UniqueConstraint("name", "version"),
    one_of("state", *State),
    CheckConstraint("manifest LIKE 'sha256:%' AND length(manifest) = 71", name="manifest"),
    Index(
        "one_in_production",
        "name",
        unique=True,
        sqlite_where=text("state = 'production'"),
        postgresql_where=text("state = 'production'"),
    ),
    Index(
        "one_canary",
        "name",
        unique=True,
        sqlite_where=text("state = 'canary'"),
        postgresql_where=text("state = 'canary'"),
    ),
)

requests = Table(
    "trace_requests",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version_id", ForeignKey(versions.c.id), nullable=False),
    Column("digest", String(71), nullable=False),
    Column("state", String(16), nullable=False),
    Column("requested_by", String(128), nullable=False),
    Column("why", Text, nullable=False),
    Column("created", Instant, nullable=False),
    Column("expires", Instant, nullable=False),
    Column("closed", Instant),
    one_of("state", *RequestState),
    CheckConstraint("length(trim(why)) > 0", name="why"),
    CheckConstraint("(closed IS NULL) = (state = 'open')", name="closed"),
    Index(
        "one_open_request",
        "version_id",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

decisions = Table(
    "trace_decisions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("request_id", ForeignKey(requests.c.id), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("at", Instant, nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("why", Text, nullable=False),
    Column("evidence", String(71), nullable=False),
    UniqueConstraint("request_id", "actor"),
    CheckConstraint("length(trim(why)) > 0", name="why"),
)

log = Table(
    "trace_log",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("act", String(16), nullable=False),
    Column("subject", String(130), nullable=False),
    Column("details", Json, nullable=False),
    Column("previous", String(71), nullable=False),
    Column("hash", String(71), nullable=False, unique=True),
    one_of("act", *Act),
)

outbox = Table(
    "trace_outbox",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", ForeignKey(log.c.seq), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret_env", String(128), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Instant, nullable=False),
    Column("problem", Text),
    one_of("state", "waiting", "delivered", "failed"),
    Index("ix_trace_outbox_state", "state", "due"),
)
