"""Triggers that refuse what no act of the registry does, from one table of conditions for both databases.

They hold for whoever writes to the tables with the application's rights. The owner of a database can drop
them: then `trace registry verify` still sees what was changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

GENESIS = "sha256:" + "0" * 64


@dataclass(frozen=True)
class Guard:
    """A trigger: refuses a write where `condition` holds (SQL over NEW and OLD, read by both databases)."""

    name: str
    table: str
    event: Literal["INSERT", "UPDATE", "DELETE"]
    condition: str
    message: str

    def statements(self, dialect: str) -> Iterator[str]:
        """The DDL that makes it."""
        if dialect == "sqlite":
            yield (
                f"CREATE TRIGGER {self.name} BEFORE {self.event} ON {self.table} "
                f"WHEN {self.condition} BEGIN SELECT RAISE(ABORT, '{self.message}'); END"
            )
            return
        row = "OLD" if self.event == "DELETE" else "NEW"
        yield (
            f"CREATE FUNCTION {self.name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF {self.condition} THEN RAISE EXCEPTION '{self.message}' USING ERRCODE = 'check_violation'; "
            f"END IF; RETURN {row}; END $$"
        )
        yield (
            f"CREATE TRIGGER {self.name} BEFORE {self.event} ON {self.table} "
            f"FOR EACH ROW EXECUTE FUNCTION {self.name}()"
        )


def _fixed(table: str, *columns: str) -> Guard:
    changed = " OR ".join(
        f"COALESCE(CAST(NEW.{name} AS TEXT), '') <> COALESCE(CAST(OLD.{name} AS TEXT), '')"
        for name in columns
    )
    return Guard(f"{table}_fixed", table, "UPDATE", f"({changed})", f"{table}: what was written stays")


def _moves(table: str, subject: str) -> Guard:
    condition = (
        "NEW.state <> OLD.state AND NOT EXISTS (SELECT 1 FROM trace_moves "
        f"WHERE subject = '{subject}' AND from_state = OLD.state AND to_state = NEW.state)"
    )
    return Guard(f"{table}_moves", table, "UPDATE", condition, f"{table}: there is no such move")


def _never(table: str, event: Literal["UPDATE", "DELETE"]) -> Guard:
    return Guard(f"{table}_no_{event.lower()}", table, event, "1 = 1", f"{table} is only added to")


APPROVED = (
    "NOT EXISTS (SELECT 1 FROM trace_requests r WHERE r.version_id = NEW.id "
    "AND r.state = 'approved' AND r.digest = NEW.manifest)"
)
GUARDS = (
    Guard("trace_versions_begin", "trace_versions", "INSERT", "NEW.state <> 'candidate'",
          "trace_versions: a version begins as a candidate"),
    _fixed("trace_versions", "id", "name", "version", "package", "manifest", "evidence", "digests", "gates",
           "index_path", "commit_hash", "run", "registered_by", "registered_at"),
    _moves("trace_versions", "version"),
    Guard("trace_versions_approved", "trace_versions", "UPDATE",
          f"NEW.state <> OLD.state AND NEW.state IN ('approved', 'canary') AND {APPROVED}",
          "trace_versions: no approval of this digest"),
    Guard("trace_versions_back", "trace_versions", "UPDATE",
          "OLD.state = 'retired' AND NEW.state = 'production' AND NOT EXISTS (SELECT 1 FROM trace_versions v "
          "WHERE v.name = NEW.name AND v.replaced = NEW.version AND v.state = 'retired')",
          "trace_versions: only a rollback brings a retired version back"),
    Guard("trace_versions_replaced", "trace_versions", "UPDATE",
          "COALESCE(NEW.replaced, '') <> COALESCE(OLD.replaced, '') "
          "AND NOT (OLD.state = 'canary' AND NEW.state = 'production')",
          "trace_versions: what was replaced is noted by the promotion"),
    _never("trace_versions", "DELETE"),
    Guard("trace_requests_begin", "trace_requests", "INSERT",
          "NEW.state <> 'open' OR NEW.digest <> (SELECT v.manifest FROM trace_versions v "
          "WHERE v.id = NEW.version_id)",
          "trace_requests: a request begins open, with the digest of its version"),
    _fixed("trace_requests", "id", "version_id", "digest", "requested_by", "why", "created"),
    _moves("trace_requests", "request"),
    Guard("trace_requests_approved", "trace_requests", "UPDATE",
          "OLD.state = 'open' AND NEW.state = 'approved' AND NOT EXISTS (SELECT 1 FROM trace_decisions d "
          "WHERE d.request_id = NEW.id AND d.approve)",
          "trace_requests: nobody approved"),
    _never("trace_requests", "DELETE"),
    Guard("trace_decisions_open", "trace_decisions", "INSERT",
          "NOT EXISTS (SELECT 1 FROM trace_requests r JOIN trace_versions v ON v.id = r.version_id "
          "WHERE r.id = NEW.request_id AND r.state = 'open' AND v.evidence = NEW.evidence)",
          "trace_decisions: only on an open request, with the evidence of its version"),
    _never("trace_decisions", "UPDATE"),
    _never("trace_decisions", "DELETE"),
    Guard("trace_log_chain", "trace_log", "INSERT",
          "NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM trace_log) OR NEW.previous <> "
          f"COALESCE((SELECT hash FROM trace_log ORDER BY seq DESC LIMIT 1), '{GENESIS}')",
          "trace_log: an entry follows the last one"),
    _never("trace_log", "UPDATE"),
    _never("trace_log", "DELETE"),
    _never("trace_moves", "UPDATE"),
    _never("trace_moves", "DELETE"),
    Guard("trace_moves_no_insert", "trace_moves", "INSERT", "1 = 1", "trace_moves is fixed"),
)  # fmt: skip

WHOLE = ("trace_versions", "trace_requests", "trace_decisions", "trace_log", "trace_moves")


def guard_statements(dialect: str) -> Iterator[str]:
    """The DDL of all guards; PostgreSQL can also empty a table at once, which row triggers do not see."""
    for guard in GUARDS:
        yield from guard.statements(dialect)
    if dialect == "postgresql":
        yield (
            "CREATE FUNCTION trace_no_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'the registry is only added to' USING ERRCODE = 'check_violation'; END $$"
        )
        for table in WHOLE:
            yield (
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION trace_no_truncate()"
            )
