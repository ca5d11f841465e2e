"""`trace registry verify`: each column that somebody with the owner's rights alters is found and named."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from tests.registry.made import DEA, NAME, World

from trace_retriever.registry import chain, schema, tables
from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.migrations.guards import GUARDS

OTHER = "sha256:" + "1" * 64


class Owner:
    """Someone who owns the database, and switches its guards off."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.engine = world, schema.connect(url)
        self.postgresql = self.engine.dialect.name == "postgresql"

    def does(self, *statements: str) -> None:
        """Run statements without guards; the guards are there again afterwards."""
        with self.engine.connect() as connection, self._unchecked(connection), connection.begin():
            if self.postgresql:
                connection.exec_driver_sql("SET session_replication_role = replica")
            else:
                for guard in GUARDS:
                    connection.exec_driver_sql(f"DROP TRIGGER {guard.name}")
            for statement in statements:
                connection.exec_driver_sql(statement)
            if self.postgresql:
                connection.exec_driver_sql("SET session_replication_role = origin")
            else:
                for guard in GUARDS:
                    for made in guard.statements("sqlite"):
                        connection.exec_driver_sql(made)

    @contextmanager
    def _unchecked(self, connection: sa.Connection) -> Iterator[None]:
        """Without SQLite's foreign keys, which are switched outside of transactions only."""
        raw = connection.connection.driver_connection
        if not self.postgresql and raw is not None:
            raw.execute("PRAGMA foreign_keys = OFF").close()
        yield

    def rewrites_the_chain(self, seq: int, change: dict[str, str]) -> None:
        """Alter an entry and compute all hashes after it anew."""
        with self.engine.connect() as connection:
            entries = list(chain.raw_entries(connection))
        previous, statements = tables.canonical(None), []
        for entry in entries:
            if entry["seq"] == seq:
                entry |= change
            if entry["seq"] > seq:
                entry["previous"] = previous
            previous = entry["hash"] = chain.entry_hash(entry)
            values = ", ".join(
                f"{name} = '{entry[name]}'" for name in ("actor", "details", "previous", "hash")
            )
            statements.append(f"UPDATE trace_log SET {values} WHERE seq = {entry['seq']}")
        self.does(*statements)


@pytest.fixture
def owner(world: World, url: str) -> Iterator[Owner]:
    """The owner of a registry with ten entries: one version in production, a canary."""
    world.production("1.0.0")
    world.canary("2.0.0")
    found = Owner(world, url)
    assert world.registry.verify_log() == 9
    yield found
    found.engine.dispose()


def test_each_altered_column_of_the_log_is_found(owner: Owner) -> None:
    registry = owner.world.registry
    for column in tables.log.c:
        with owner.engine.connect() as connection:
            [row] = [one for one in chain.raw_entries(connection) if one["seq"] == 4]
        value, now = (
            row[column.name],
            "99" if column.name == "seq" else "'promote'" if column.name == "act" else "'x'",
        )
        place = now if column.name == "seq" else "4"
        owner.does(f"UPDATE trace_log SET {column.name} = {now} WHERE seq = 4")
        with pytest.raises(RegistryError, match=r"(entry [45]|lacks entry 4)"):
            registry.verify_log()
        owner.does(
            f"UPDATE trace_log SET {column.name} = "
            f"{value if isinstance(value, int) else repr(value)} WHERE seq = {place}"
        )
        assert registry.verify_log() == 9


@pytest.mark.parametrize("seq", [1, 5, 9])
def test_a_removed_entry_is_found(owner: Owner, seq: int) -> None:
    owner.does(f"DELETE FROM trace_log WHERE seq = {seq}")
    with pytest.raises(RegistryError, match=f"lacks entry {seq}" if seq < 9 else "not what the log says"):
        owner.world.registry.verify_log()


ALTERED = [
    (table, column.name)
    for table in (tables.versions, tables.requests, tables.decisions)
    for column in table.c
    if column.name not in ("id", "version_id", "request_id")
]


def test_each_altered_column_of_the_tables_is_found(owner: Owner) -> None:
    registry = owner.world.registry
    text = {"state": "'retired'", "approve": "NOT approve", "manifest": f"'{OTHER}'"}
    for table, column in ALTERED:
        number = 2
        value = "'expired'" if (table, column) == (tables.requests, "state") else text.get(column, "'x'")
        with owner.engine.connect() as connection:
            before = connection.exec_driver_sql(
                f"SELECT {column} FROM {table.name} WHERE id = {number}"
            ).scalar()
        owner.does(f"UPDATE {table.name} SET {column} = {value} WHERE id = {number}")
        with pytest.raises(RegistryError, match=rf"row 2 of {table.name} .*{column}"):
            registry.verify_log()
        back = "NULL" if before is None else "NOT approve" if column == "approve" else f"'{before}'"
        owner.does(f"UPDATE {table.name} SET {column} = {back} WHERE id = {number}")
        assert registry.verify_log() == 9


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM trace_decisions WHERE id = 1", "row 1 of trace_decisions is missing"),
        ("UPDATE trace_versions SET id = 7 WHERE id = 1", "row 1 of trace_versions is missing"),
        ("UPDATE trace_requests SET version_id = 2 WHERE id = 1", "version_id"),
        ("UPDATE trace_decisions SET request_id = 2, actor = 'z' WHERE id = 1", "row 1 of trace_decisions"),
        ("INSERT INTO trace_moves VALUES ('version', 'candidate', 'production')", "table of moves"),
    ],
)
def test_moved_and_removed_rows_are_found(owner: Owner, statement: str, message: str) -> None:
    owner.does(statement)
    with pytest.raises(RegistryError, match=message):
        owner.world.registry.verify_log()


def test_missing_guards_are_found(owner: Owner) -> None:
    on = " ON trace_versions" if owner.postgresql else ""
    with owner.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER trace_versions_moves{on}")
    with pytest.raises(RegistryError, match="lacks guards: trace_versions_moves"):
        owner.world.registry.verify_log()


def test_a_chain_that_was_rewritten_whole_is_told_by_a_head_that_was_noted(owner: Owner) -> None:
    registry = owner.world.registry
    noted = registry.head()
    details = registry.log()[0].details
    details["version"]["registered_by"] = "eve"
    owner.rewrites_the_chain(1, {"actor": "eve", "details": json.dumps(details).replace("'", "''")})
    owner.does("UPDATE trace_versions SET registered_by = 'eve' WHERE id = 1")
    assert registry.verify_log() == 9  # nothing in the database can tell
    with pytest.raises(RegistryError, match=f"no entry with hash {noted}"):
        registry.verify_log(noted)


def test_a_rewritten_chain_that_no_act_could_have_written_is_found(owner: Owner) -> None:
    registry = owner.world.registry
    details = registry.log()[3].details
    details["moves"] = [[f"{NAME} 1.0.0", "approved", "production"]]
    owner.rewrites_the_chain(4, {"details": json.dumps(details)})
    with pytest.raises(RegistryError, match="entry 4 of the log is none that an act writes"):
        registry.verify_log()


def test_an_earlier_head_is_still_in_the_log(world: World) -> None:
    world.canary("1.0.0")
    noted = world.registry.head()
    world.registry.promote(NAME, "1.0.0", by=world.who(DEA), why="go")
    assert world.registry.verify_log(noted) == 5
    assert noted != world.registry.head()


def test_details_that_are_no_json_are_a_finding_and_no_crash(owner: Owner) -> None:
    owner.rewrites_the_chain(2, {"details": "{"})
    with pytest.raises(RegistryError, match="entry 2 of the log is none"):
        owner.world.registry.verify_log()
    with pytest.raises(sa.exc.DBAPIError), owner.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM trace_log")
