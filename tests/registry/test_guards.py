"""The database itself refuses what no act does, whoever writes to it."""

import pytest
import sqlalchemy as sa
from tests.registry.made import DEA, NAME, World

from trace_retriever.registry import schema
from trace_retriever.registry.migrations.guards import GUARDS
from trace_retriever.registry.migrations.versions import v0001_registry as first
from trace_retriever.registry.moves import MOVES, REQUEST_MOVES
from trace_retriever.registry.types import Act, RequestState, State

DIGEST = "sha256:" + "1" * 64
NEW_VERSION = (
    "INSERT INTO trace_versions (id, name, version, state, package, manifest, evidence, digests, gates, "
    f"registered_by, registered_at, changed_at) VALUES (9, 'trace', '9.0.0', '{{}}', 'p', '{DIGEST}', "
    f"'{DIGEST}', '{{{{}}}}', '{{{{}}}}', 'eve', 't', 't')"
)
ENTRY = (
    "INSERT INTO trace_log (seq, at, actor, act, subject, details, previous, hash) "
    "VALUES ({}, 't', 'eve', 'promote', 's', '{{}}', {}, 'h')"
)
REFUSED = {
    "a move that there is not": "UPDATE trace_versions SET state = 'production' WHERE id = 1",
    "a state that there is not": "UPDATE trace_versions SET state = 'best' WHERE id = 1",
    "an approval that nobody gave": "UPDATE trace_versions SET state = 'approved' WHERE id = 1",
    "another digest": f"UPDATE trace_versions SET manifest = '{DIGEST}' WHERE id = 1",
    "another package": "UPDATE trace_versions SET package = '/tmp/x' WHERE id = 1",
    "other gates": "UPDATE trace_versions SET gates = '{}' WHERE id = 1",
    "another registrant": "UPDATE trace_versions SET registered_by = 'eve' WHERE id = 1",
    "a champion to go back to": "UPDATE trace_versions SET replaced = '1.0.0' WHERE id = 1",
    "a version gone": "DELETE FROM trace_versions WHERE id = 2",
    "a version that begins in production": NEW_VERSION.format("production"),
    "a request approved by nobody": "UPDATE trace_requests SET state = 'approved', closed = 't' WHERE id = 1",
    "a request that is closed and open": "UPDATE trace_requests SET closed = 't' WHERE id = 1",
    "another requester": "UPDATE trace_requests SET requested_by = 'eve' WHERE id = 1",
    "a request gone": "DELETE FROM trace_requests WHERE id = 1",
    "a request of another digest": "INSERT INTO trace_requests (id, version_id, digest, state, requested_by, "
    f"why, created, expires) VALUES (9, 2, '{DIGEST}', 'open', 'eve', 'w', 't', 't')",
    "a second open request": "INSERT INTO trace_requests (id, version_id, digest, state, requested_by, why, "
    "created, expires) SELECT 9, id, manifest, 'open', 'eve', 'w', 't', 't' FROM trace_versions WHERE id = 1",
    "a decision on other evidence": "INSERT INTO trace_decisions (id, request_id, actor, at, approve, why, "
    f"evidence) VALUES (9, 1, 'eve', 't', 1 = 1, 'w', '{DIGEST}')",
    "an entry changed": "UPDATE trace_log SET actor = 'eve' WHERE seq = 1",
    "an entry gone": "DELETE FROM trace_log WHERE seq = 3",
    "an entry beside the chain": ENTRY.format(4, "'sha256:0'"),
    "an entry after a gap": ENTRY.format(5, "(SELECT hash FROM trace_log WHERE seq = 3)"),
    "another move": "INSERT INTO trace_moves VALUES ('version', 'candidate', 'production')",
    "no moves": "DELETE FROM trace_moves",
}


@pytest.fixture
def engine(world: World, url: str) -> sa.Engine:
    """The database of a registry with a requested version (1) and a candidate (2)."""
    world.requested("1.0.0")
    world.candidate("2.0.0")
    world.registry.close()
    return schema.connect(url)


def takes(engine: sa.Engine, statement: str) -> bool:
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
    except (sa.exc.IntegrityError, sa.exc.InternalError):
        return False
    return True


def test_what_no_act_does_is_refused(engine: sa.Engine, world: World) -> None:
    taken = [name for name, statement in REFUSED.items() if takes(engine, statement)]
    assert taken == []
    engine.dispose()
    assert world.registry.verify_log() == 3


def test_two_in_production_and_a_comeback_without_a_rollback_are_refused(world: World, url: str) -> None:
    world.production("1.0.0")
    world.production("2.0.0")
    world.canary("3.0.0")
    engine = schema.connect(url)
    for version in ("1.0.0", "3.0.0"):
        with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
            connection.exec_driver_sql(
                f"UPDATE trace_versions SET state = 'production' WHERE version = '{version}'"
            )
    engine.dispose()
    assert world.registry.rollback(NAME, by=world.who(DEA), why="slow").version == "1.0.0"


def test_a_table_is_not_emptied_at_once(world: World, url: str) -> None:
    world.requested("1.0.0")
    engine = schema.connect(url)
    for table in ("trace_log", "trace_versions CASCADE", "trace_moves"):
        with pytest.raises(sa.exc.DBAPIError), engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")
    engine.dispose()


def test_the_database_knows_the_same_words_and_moves_as_the_code() -> None:
    assert {(old, new) for moves in MOVES.values() for old, new in moves} == set(first.VERSION_MOVES)
    assert set(first.REQUEST_MOVES) == REQUEST_MOVES
    for words, listed in ((State, first.STATES), (RequestState, first.REQUEST_STATES), (Act, first.ACTS)):
        assert [word.strip("' ") for word in listed.split(",")] == list(words)
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)
