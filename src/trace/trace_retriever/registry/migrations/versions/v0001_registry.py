"""The registry's first tables, the moves that there are, and the guards."""

import sqlalchemy as sa
from alembic import op

from trace_retriever.registry.migrations.guards import guard_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATES = "'candidate', 'requested', 'approved', 'rejected', 'canary', 'production', 'retired'"
REQUEST_STATES = "'open', 'approved', 'rejected', 'expired', 'withdrawn'"
ACTS = (
    "'register', 'request', 'approve', 'reject', 'withdraw', "
    "'expire', 'canary', 'promote', 'abort', 'rollback'"
)
VERSION_MOVES = (
    ("candidate", "requested"),
    ("requested", "approved"),
    ("requested", "rejected"),
    ("requested", "candidate"),
    ("approved", "candidate"),
    ("approved", "canary"),
    ("canary", "production"),
    ("canary", "retired"),
    ("production", "retired"),
    ("retired", "production"),
)
REQUEST_MOVES = (
    ("open", "approved"),
    ("open", "rejected"),
    ("open", "expired"),
    ("open", "withdrawn"),
    ("approved", "expired"),
)


def upgrade() -> None:
    """Make them."""
    _moves()
    _versions()
    _requests()
    _decisions()
    _log()
    _outbox()
    for statement in guard_statements(op.get_context().dialect.name):
        op.execute(statement)


def _text(name: str, length: int, *, optional: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length), nullable=optional)


def _moves() -> None:
    table = op.create_table(
        "trace_moves",
        _text("subject", 16),
        _text("from_state", 16),
        _text("to_state", 16),
        sa.PrimaryKeyConstraint("subject", "from_state", "to_state", name="pk_trace_moves"),
    )
    both = (("version", VERSION_MOVES), ("request", REQUEST_MOVES))
    op.bulk_insert(
        table,
        [
            {"subject": subject, "from_state": old, "to_state": new}
            for subject, moves in both
            for old, new in moves
        ],
    )


def _versions() -> None:
    op.create_table(
        "trace_versions",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        _text("name", 64),
        _text("version", 64),
        _text("state", 16),
        sa.Column("package", sa.Text(), nullable=False),
        _text("manifest", 71),
        _text("evidence", 71),
        sa.Column("digests", sa.Text(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.Column("index_path", sa.Text()),
        _text("commit_hash", 64, optional=True),
        _text("run", 128, optional=True),
        _text("registered_by", 128),
        _text("registered_at", 27),
        _text("changed_at", 27),
        _text("replaced", 64, optional=True),
        sa.PrimaryKeyConstraint("id", name="pk_trace_versions"),
        sa.UniqueConstraint("name", "version", name="uq_trace_versions_name"),
        sa.CheckConstraint(f"state IN ({STATES})", name="ck_trace_versions_state"),
        sa.CheckConstraint(
            "manifest LIKE 'sha256:%' AND length(manifest) = 71", name="ck_trace_versions_manifest"
        ),
    )
    _only_one("one_in_production", "trace_versions", "name", "production")
    _only_one("one_canary", "trace_versions", "name", "canary")


def _requests() -> None:
    op.create_table(
        "trace_requests",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("version_id", sa.Integer(), nullable=False),
        _text("digest", 71),
        _text("state", 16),
        _text("requested_by", 128),
        sa.Column("why", sa.Text(), nullable=False),
        _text("created", 27),
        _text("expires", 27),
        _text("closed", 27, optional=True),
        sa.PrimaryKeyConstraint("id", name="pk_trace_requests"),
        sa.ForeignKeyConstraint(["version_id"], ["trace_versions.id"], name="fk_trace_requests_version_id"),
        sa.CheckConstraint(f"state IN ({REQUEST_STATES})", name="ck_trace_requests_state"),
        sa.CheckConstraint("length(trim(why)) > 0", name="ck_trace_requests_why"),
        sa.CheckConstraint("(closed IS NULL) = (state = 'open')", name="ck_trace_requests_closed"),
    )
    _only_one("one_open_request", "trace_requests", "version_id", "open")


def _decisions() -> None:
    op.create_table(
        "trace_decisions",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("request_id", sa.Integer(), nullable=False),
        _text("actor", 128),
        _text("at", 27),
        sa.Column("approve", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        _text("evidence", 71),
        sa.PrimaryKeyConstraint("id", name="pk_trace_decisions"),
        sa.ForeignKeyConstraint(["request_id"], ["trace_requests.id"], name="fk_trace_decisions_request_id"),
        sa.UniqueConstraint("request_id", "actor", name="uq_trace_decisions_request_id"),
        sa.CheckConstraint("length(trim(why)) > 0", name="ck_trace_decisions_why"),
    )


def _log() -> None:
    op.create_table(
        "trace_log",
        sa.Column("seq", sa.Integer(), nullable=False, autoincrement=False),
        _text("at", 27),
        _text("actor", 128),
        _text("act", 16),
        _text("subject", 130),
        sa.Column("details", sa.Text(), nullable=False),
        _text("previous", 71),
        _text("hash", 71),
        sa.PrimaryKeyConstraint("seq", name="pk_trace_log"),
        sa.UniqueConstraint("hash", name="uq_trace_log_hash"),
        sa.CheckConstraint(f"act IN ({ACTS})", name="ck_trace_log_act"),
    )


def _outbox() -> None:
    op.create_table(
        "trace_outbox",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        _text("secret_env", 128),
        sa.Column("body", sa.Text(), nullable=False),
        _text("state", 16),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _text("due", 27),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_trace_outbox"),
        sa.ForeignKeyConstraint(["seq"], ["trace_log.seq"], name="fk_trace_outbox_seq"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'failed')", name="ck_trace_outbox_state"),
    )
    op.create_index("ix_trace_outbox_state", "trace_outbox", ["state", "due"])


def _only_one(name: str, table: str, column: str, state: str) -> None:
    where = sa.text(f"state = '{state}'")
    op.create_index(name, table, [column], unique=True, sqlite_where=where, postgresql_where=where)
