"""Is all as the registry wrote it: the chain, the tables that follow from it, the database's guards."""

from sqlalchemy import Connection, select, text

from trace_retriever.registry import chain, tables
from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.migrations.guards import GENESIS, GUARDS
from trace_retriever.registry.moves import MOVES, REQUEST_MOVES
from trace_retriever.registry.replay import compare, fold

TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT tgname FROM pg_trigger "
        "WHERE tgenabled IN ('O', 'A') AND NOT tgisinternal AND pg_table_is_visible(tgrelid)"
    ),
}


def verify(connection: Connection, head: str | None) -> int:
    """Check it all; returns the number of entries.

    Args:
        head: a hash that the log must contain.

    Raises:
        RegistryError: names what is not as it was written.
    """
    entries = list(chain.check(chain.raw_entries(connection)))
    if head is not None and head not in {GENESIS, *(entry["hash"] for entry in entries)}:
        raise RegistryError(
            f"the log has no entry with hash {head}", remedy="the log was cut or rewritten after it was noted"
        )
    compare(connection, fold(entries))
    _check_guards(connection)
    return len(entries)


def _check_guards(connection: Connection) -> None:
    found = set(connection.scalars(text(TRIGGERS[connection.dialect.name])))
    if missing := sorted({guard.name for guard in GUARDS} - found):
        raise RegistryError(f"the database lacks guards: {', '.join(missing)}")
    wanted = {("version", old.value, new.value) for moves in MOVES.values() for old, new in moves}
    wanted |= {("request", old.value, new.value) for old, new in REQUEST_MOVES}
    if {tuple(row) for row in connection.execute(select(tables.moves))} != wanted:
        raise RegistryError("the database's table of moves is not what it was made with")
