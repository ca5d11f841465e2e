"""The registry itself: each act is checked, moved, logged and announced in one transaction."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from trace_retriever.config.promotion import RegistryRules, Role
from trace_retriever.registry import (
    chain,
    deciding,
    packages,
    promoting,
    rows,
    schema,
    verification,
    webhooks,
)
from trace_retriever.registry import rules as says
from trace_retriever.registry.change import Change, due, expire
from trace_retriever.registry.errors import Conflict, RegistryError
from trace_retriever.registry.types import (
    Actor,
    Deliveries,
    Entry,
    Request,
    RequestState,
    State,
    Version,
)

DEFAULT_URL = "sqlite:///.trace/registry.db"
VARIABLE = "TRACE_REGISTRY"
STORE = Path(".trace/registry/packages")
Result = TypeVar("Result")


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def open_registry(
    url: str, rules: RegistryRules, clock: Callable[[], datetime] = utc_now, *, store: Path | None = None
) -> "Registry":
    """Open a registry, making or upgrading its tables where need be.

    Args:
        url: of SQLAlchemy: `sqlite:///path` or `postgresql+psycopg://…`.
        rules: who may do what.
        clock: gives the time, in UTC.
        store: where packages are kept by digest.  [default: `registry/packages` beside the SQLite file, else
            `.trace/registry/packages`]

    Raises:
        RegistryError: the database cannot be reached, or was made by a newer version.
    """
    engine = schema.connect(url)
    try:
        schema.upgrade(engine)
    except RegistryError:
        engine.dispose()
        raise
    if store is None:
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        store = Path(file).parent / "registry/packages" if file else STORE
    return Registry(engine, rules, clock, store)


class Registry:
    """Versions, requests and the log. Safe to share between threads; several processes may have it open.

    Every act raises `NotAllowed` where the rules say no, `Conflict` where the state moved on, `NotFound`, and
    `RegistryError` where names, reasons or files are not as they must be. `why` is required: 1 to 2000
    characters. `figures` is JSON that the act was decided by; it goes into the log.

    Attributes:
        rules: who may do what.
        store: where packages are kept, one directory a manifest digest.
    """

    def __init__(
        self, engine: Engine, rules: RegistryRules, clock: Callable[[], datetime], store: Path
    ) -> None:
        self.rules, self.store = rules, store
        self._engine, self._clock = engine, clock

    def __enter__(self) -> "Registry":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def actor(self, name: str) -> Actor:
        """A person with the roles that the rules give them; unknown people have none."""
        return says.actor_of(self.rules, name)

    def register(
        self,
        package: Path,
        *,
        by: Actor,
        index: Path | None = None,
        uri: str | None = None,
        commit: str | None = None,
        run: str | None = None,
    ) -> Version:
        """Take a registered-model directory in: verified, its bytes kept in the store, its digests noted.

        The same package again is the version that is there already.

        Args:
            package: what step `register` wrote.
            by: a requester.
            index: the embeddings of its candidates.
            uri: where serving fetches the package from; then it is not copied to the store, and its bytes
                are not compared again here.
            commit, run: of the source and the pipeline run that made it.
        """
        says.need_role(self.rules, by, Role.REQUESTER, "register a version")
        row = packages.read_package(package)
        if index is not None:
            row["digests"]["index"] = packages.index_digest(index, row["digests"].get("model"))
        kept = packages.checked_uri(uri) if uri else packages.keep(package, row["manifest"], self.store)
        row |= {
            "package": str(kept),
            "index_path": str(index.resolve()) if index else None,
            "commit_hash": says.short("commit", commit, 64),
            "run": says.short("run", run, 128),
        }
        return self._act(lambda change: deciding.register(change, by=by, row=row))

    def versions(self, name: str | None = None, state: State | None = None) -> list[Version]:
        """Versions, the newest first."""
        wanted = [] if name is None else [rows.VERSIONS.name == name]
        wanted += [] if state is None else [rows.VERSIONS.state == state]
        with self._reading() as connection:
            return rows.find_versions(connection, *wanted)

    def version(self, name: str, version: str) -> Version:
        """One version; `NotFound` where there is none."""
        with self._reading() as connection:
            return rows.find_version(connection, name, version)

    def request(self, version: Version, *, by: Actor, why: str) -> Request:
        """Ask for a version to be put into production: candidate → requested."""
        return self._act(lambda change: deciding.request(change, version, by=by, why=why))

    def requests(self, state: RequestState | None = None) -> list[Request]:
        """Requests, the newest first; those past their time are marked expired before."""
        wanted = [] if state is None else [rows.REQUESTS.state == state]
        with self._reading() as connection:
            return rows.find_requests(connection, *wanted)

    def request_of(self, request_id: int) -> Request:
        """One request; `NotFound` where there is none."""
        with self._reading() as connection:
            return rows.find_request(connection, request_id)

    def approve(self, request_id: int, *, by: Actor, why: str, evidence: str) -> Request:
        """Say yes; `evidence` is the digest that was seen, and `Conflict` where it is not the version's.

        The last approval that the rules ask for moves requested → approved.
        """
        return self._act(
            lambda change: deciding.decide(
                change, request_id, by=by, approve=True, why=why, evidence=evidence
            )
        )

    def reject(self, request_id: int, *, by: Actor, why: str, evidence: str) -> Request:
        """Say no: requested → rejected, whoever approved before."""
        return self._act(
            lambda change: deciding.decide(
                change, request_id, by=by, approve=False, why=why, evidence=evidence
            )
        )

    def withdraw(self, request_id: int, *, by: Actor, why: str) -> Request:
        """Take an open request back (the requester, or an admin): requested → candidate."""
        return self._act(lambda change: deciding.withdraw(change, request_id, by=by, why=why))

    def start_canary(
        self, name: str, version: str, *, by: Actor, why: str, figures: Mapping[str, Any] | None = None
    ) -> Version:
        """approved → canary, after the package's bytes were compared with the approved digest."""
        says.need_role(self.rules, by, Role.DEPLOYER, "start a canary")
        found = self.version(name, version)
        details = promoting.about(why, found, packages.need_same_bytes(found), figures)
        return self._act(lambda change: promoting.start_canary(change, found, details, by=by))

    def promote(
        self, name: str, version: str, *, by: Actor, why: str, figures: Mapping[str, Any] | None = None
    ) -> Version:
        """canary → production, the champion → retired; the package's bytes are compared again."""
        says.need_role(self.rules, by, Role.DEPLOYER, "promote a canary")
        found = self.version(name, version)
        details = promoting.about(why, found, packages.need_same_bytes(found), figures)
        return self._act(lambda change: promoting.promote(change, found, details, by=by))

    def abort_canary(
        self, name: str, version: str, *, by: Actor, why: str, figures: Mapping[str, Any] | None = None
    ) -> Version:
        """canary → retired."""
        says.need_role(self.rules, by, Role.DEPLOYER, "abort a canary")
        found = self.version(name, version)
        details = promoting.about(why, found, None, figures)
        return self._act(lambda change: promoting.abort_canary(change, found, details, by=by))

    def rollback(
        self, name: str, *, by: Actor, why: str, figures: Mapping[str, Any] | None = None
    ) -> Version:
        """production → retired, and the version that it replaced → production, which is returned."""
        says.need_role(self.rules, by, Role.DEPLOYER, "roll back")
        champion = self.champion(name)
        if champion is None:
            raise Conflict(f"no version of {name} is in production")
        earlier = self.version(name, promoting.earlier_than(champion))
        details = promoting.about(why, earlier, packages.need_same_bytes(earlier), figures)
        return self._act(lambda change: promoting.rollback(change, champion, earlier, details, by=by))

    def champion(self, name: str) -> Version | None:
        """What is in production."""
        with self._reading() as connection:
            return rows.in_state(connection, name, State.PRODUCTION)

    def canary(self, name: str) -> Version | None:
        """What is tried on a part of the traffic."""
        with self._reading() as connection:
            return rows.in_state(connection, name, State.CANARY)

    def log(self, after: int = 0, *, limit: int | None = None) -> list[Entry]:
        """Entries with a greater `seq`, in order."""
        with self._reading() as connection:
            return rows.find_entries(connection, after, limit)

    def history(self, name: str, version: str) -> list[Entry]:
        """Entries that are about a version, or moved it, in order."""
        label = self.version(name, version).label
        return [
            entry
            for entry in self.log()
            if entry.subject == label or label in [move[0] for move in entry.details["moves"]]
        ]

    def verify_log(self, head: str | None = None) -> int:
        """Recompute the log, and what the tables must hold after it.

        Args:
            head: a hash that was noted elsewhere, which the log must contain.

        Returns:
            The number of entries.

        Raises:
            RegistryError: names the first entry, or the row, that is not as it was written.
        """
        with self._snapshot() as connection:
            return verification.verify(connection, head)

    def head(self) -> str:
        """Hash of the last entry: note it elsewhere, since a database's owner can rewrite a whole chain."""
        with self._snapshot() as connection:
            return chain.head(connection)

    def deliver(self, limit: int = 100, *, tries: int = 3, seconds: float = 5.0) -> Deliveries:
        """Send waiting webhooks; never raises for a receiver's faults.

        Args:
            limit: messages at most.
            tries: attempts at each now; what is not taken waits, longer each time.
            seconds: that a receiver may take to answer.
        """
        return webhooks.deliver(self._engine, self._clock, limit=limit, tries=tries, seconds=seconds)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _act(self, act: Callable[[Change], Result]) -> Result:
        """Run an act. What expired is marked even if the act itself is refused."""
        now = self._clock()

        def change(connection: Connection) -> Result | RegistryError:
            state = Change(connection, self.rules, now)
            expire(state)
            try:
                with connection.begin_nested():
                    return act(state)
            except RegistryError as refused:
                return refused

        outcome = schema.write(self._engine, change)
        if isinstance(outcome, RegistryError):
            raise outcome
        return outcome

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A snapshot in which nothing is past its time."""
        now = self._clock()
        with self._snapshot() as connection:
            late = rows.find_requests(connection, due(now))
        if late:
            schema.write(self._engine, lambda connection: expire(Change(connection, self.rules, now)))
        with self._snapshot() as connection:
            yield connection

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        try:
            with schema.reading(self._engine) as connection:
                yield connection
        except DBAPIError as error:
            raise schema.explained(self._engine, error) from None
