"""Engines, transactions and the upgrade of the tables, for both databases."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from trace_retriever.registry.errors import Conflict, RegistryError

BUSY_SECONDS = 15.0
ATTEMPTS = 4
# PostgreSQL: serialization failure, deadlock, lock not available. Nothing was written: it may be tried again.
AGAIN = ("40001", "40P01", "55P03")
_MIGRATING = threading.Lock()  # Alembic keeps its context in a global
Result = TypeVar("Result")


def connect(url: str) -> Engine:
    """An engine for a database, which need not be there yet.

    Raises:
        RegistryError: not an address of SQLite (a file) or PostgreSQL.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise RegistryError(
            "not a database's address", remedy="sqlite:///registry.db or postgresql+psycopg://host/name"
        ) from None
    kind = address.get_backend_name()
    if kind == "sqlite":
        return _sqlite(address)
    if kind == "postgresql":
        return _postgresql(address)
    raise RegistryError(f"a registry lives in SQLite or PostgreSQL, not in {kind}", where=shown(address))


def shown(address: URL) -> str:
    """An address without its password."""
    return address.render_as_string(hide_password=True)


def _sqlite(address: URL) -> Engine:
    if not address.database or address.database == ":memory:":
        raise RegistryError("a registry in memory would forget", remedy="name a file: sqlite:///registry.db")
    Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(
        "BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN"
    ))  # fmt: skip
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:  # noqa: ARG001 (what the event hands over)
    connection.isolation_level = None  # transactions are begun by us
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "recursive_triggers = ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def _postgresql(address: URL) -> Engine:
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    engine = create_engine(address, pool_pre_ping=True, connect_args={"connect_timeout": 10})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, record: Any) -> None:  # noqa: ARG001
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
        connection.commit()

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the tables."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


def write(engine: Engine, change: Callable[[Connection], Result]) -> Result:
    """Run a change in a transaction of its own, alone: all who write wait for each other.

    The log is one chain, so that its writers cannot run side by side in any case; with the lock taken before
    anything is read, a change sees the last state and no two decide on the same one.

    Raises:
        Conflict: another writer did not let go in time; nothing was written.
        RegistryError: the database refuses or cannot be reached.
    """
    tries = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(0.05, max=1.0),
        reraise=True,
    )
    try:
        result: Result = tries(_write_once, engine, change)
    except DBAPIError as error:
        raise explained(engine, error) from None
    return result


def _write_once(engine: Engine, change: Callable[[Connection], Result]) -> Result:
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE trace_log IN EXCLUSIVE MODE"))
        return change(connection)


def _may_pass(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    return getattr(error.orig, "sqlstate", None) in AGAIN or _locked(error)


def _locked(error: DBAPIError) -> bool:
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)


def explained(engine: Engine, error: DBAPIError) -> RegistryError:
    """A database's error in our words; its own message holds whole statements."""
    where = shown(engine.url)
    if _may_pass(error):
        return Conflict("another act holds the registry", where=where, remedy="try again")
    said = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
    return RegistryError(f"the database refused: {said}", where=where)


def upgrade(engine: Engine) -> None:
    """Make the tables, or bring them up to date; several processes may do so at once.

    Raises:
        RegistryError: the database cannot be reached, or was made by a newer version.
    """
    try:
        with _MIGRATING:
            _upgrade(engine)
    except DBAPIError as error:
        raise explained(engine, error) from None


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)

    def current(connection: Connection) -> bool:
        options = {"version_table": "trace_schema"}
        found = MigrationContext.configure(connection, opts=options).get_current_revision()
        if found and found not in {script.revision for script in scripts.walk_revisions()}:
            raise RegistryError(
                f"the registry's tables are of revision {found}, which this version does not know",
                where=shown(engine.url),
                remedy="install the newer version of trace-retriever that made them",
            )
        return found == scripts.get_current_head()

    with reading(engine) as connection:
        if current(connection):
            return
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('trace_schema'))"))
        if not current(connection):  # another process may have done it while this one waited
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
