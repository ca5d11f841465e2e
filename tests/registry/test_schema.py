"""The tables that migrations make are the tables that the code reads; databases of others are refused."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError
from tests.registry.databases import new_schema
from tests.registry.made import Clock, Packages, World, rules

from trace_retriever.registry import schema, tables
from trace_retriever.registry.errors import Conflict, RegistryError
from trace_retriever.registry.registry import open_registry


def test_migrations_make_the_tables_that_the_code_knows(world: World, url: str) -> None:
    engine = schema.connect(url)
    with engine.connect() as connection:
        options = {"version_table": "trace_schema", "compare_type": False}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []
    engine.dispose()
    assert world.registry.verify_log() == 0


def test_tables_of_a_newer_version_are_refused(world: World, url: str) -> None:
    world.registry.close()
    engine = schema.connect(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trace_schema SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(RegistryError, match="revision 9999, which this version does not know"):
        open_registry(url, rules())


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"not a database at all, but long enough to look" * 100)
    with pytest.raises(RegistryError, match="not a database"):
        open_registry(f"sqlite:///{tmp_path}/r.db", rules())


def test_a_writer_that_does_not_let_go_is_told_as_that(
    world: World, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(schema, "ATTEMPTS", 2)
    version = world.candidate("1.0.0")
    holder, waiting = schema.connect(url), open_registry(url, rules(), world.clock)
    with holder.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE trace_log IN EXCLUSIVE MODE")
        assert waiting.versions() == [version]  # readers do not wait
        with pytest.raises(Conflict, match="another act holds the registry"):
            waiting.request(version, by=world.who("ann"), why="go")
    assert waiting.request(version, by=world.who("ann"), why="go").id == 1
    waiting.close()
    holder.dispose()


def test_a_user_who_owns_nothing_can_act_and_cannot_drop_the_guards(
    packages: Packages, server: str, tmp_path: Path
) -> None:
    """The least rights that docs/registry.md names."""
    url = new_schema(server, "owned")
    open_registry(url, rules()).close()
    engine = schema.connect(url)
    with engine.begin() as connection:
        for statement in (
            "CREATE ROLE clerk LOGIN",
            "GRANT USAGE ON SCHEMA owned TO clerk",
            "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA owned TO clerk",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    theirs = url.replace("//postgres@", "//clerk@")
    with open_registry(theirs, rules(), Clock(), store=tmp_path) as registry:
        world = World(registry, Clock(), packages)
        world.production("1.0.0")
        assert registry.verify_log() == 5
    engine = schema.connect(theirs)
    for statement in (
        "DROP TRIGGER trace_log_no_update ON trace_log",
        "ALTER TABLE trace_log DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DELETE FROM trace_log",
        "UPDATE trace_log SET actor = 'eve'",
    ):
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_times_are_text_that_sorts_as_they_do() -> None:
    early = datetime(2026, 1, 1, 9, 0, 0, 5, tzinfo=UTC)
    east = early.astimezone(timezone(timedelta(hours=9)))
    assert tables.stamp(early) == tables.stamp(east) == "2026-01-01T09:00:00.000005Z"
    assert tables.stamp(early) < tables.stamp(early + timedelta(microseconds=1))
