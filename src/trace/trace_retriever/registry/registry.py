"""The registry itself: each act is checked, moved, logged and announced in one transaction."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from trace_retriever.config.promotion import RegistryRules
from trace_retriever.registry.types import Actor, Entry, Request, RequestState, State, Version

DEFAULT_URL = "sqlite:///.trace/registry.db"
VARIABLE = "TRACE_REGISTRY"


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
    raise NotImplementedError


class Registry:
    """Versions, requests and the log. Safe to share between threads; several processes may have it open.

    Every act raises `NotAllowed` where the rules say no, `Conflict` where the state moved on, `NotFound`, and
    `RegistryError` where names, reasons or files are not as they must be. `why` is required: 1 to 2000
    characters.
    """

    rules: RegistryRules

    def actor(self, name: str) -> Actor:
        """A person with the roles that the rules give them; unknown people have none."""
        raise NotImplementedError

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
        """Take a registered-model directory in: verified, its bytes kept in the store, its digests noted."""
        raise NotImplementedError

    def versions(self, name: str | None = None, state: State | None = None) -> list[Version]:
        """Versions, the newest first."""
        raise NotImplementedError

    def version(self, name: str, version: str) -> Version:
        """One version; `NotFound` where there is none."""
        raise NotImplementedError

    def request(self, version: Version, *, by: Actor, why: str) -> Request:
        """Ask for a version to be put into production: candidate → requested."""
        raise NotImplementedError

    def requests(self, state: RequestState | None = None) -> list[Request]:
        """Requests, the newest first; those past their time are marked expired before."""
        raise NotImplementedError

    def request_of(self, request_id: int) -> Request:
        """One request; `NotFound` where there is none."""
        raise NotImplementedError

    def approve(self, request_id: int, *, by: Actor, why: str, evidence: str) -> Request:
        """Say yes; `evidence` is the digest that was seen, and `Conflict` where it is not the version's.

        The last approval that the rules ask for moves requested → approved.
        """
        raise NotImplementedError

    def reject(self, request_id: int, *, by: Actor, why: str, evidence: str) -> Request:
        """Say no: requested → rejected, whoever approved before."""
        raise NotImplementedError

    def withdraw(self, request_id: int, *, by: Actor, why: str) -> Request:
        """Take an open request back (the requester, or an admin): requested → candidate."""
        raise NotImplementedError

    def start_canary(self, name: str, version: str, *, by: Actor, why: str) -> Version:
        """approved → canary, after the package's bytes were compared with the approved digest."""
        raise NotImplementedError

    def promote(self, name: str, version: str, *, by: Actor, why: str) -> Version:
        """canary → production, the champion → retired; the package's bytes are compared again."""
        raise NotImplementedError

    def abort_canary(self, name: str, version: str, *, by: Actor, why: str) -> Version:
        """canary → retired."""
        raise NotImplementedError

    def rollback(self, name: str, *, by: Actor, why: str) -> Version:
        """production → retired, and the version that it replaced → production, which is returned."""
        raise NotImplementedError

    def champion(self, name: str) -> Version | None:
        """What is in production."""
        raise NotImplementedError

    def canary(self, name: str) -> Version | None:
        """What is tried on a part of the traffic."""
        raise NotImplementedError

    def log(self, after: int = 0, *, limit: int | None = None) -> list[Entry]:
        """Entries with a greater `seq`, in order."""
        raise NotImplementedError

    def history(self, name: str, version: str) -> list[Entry]:
        """Entries that are about a version, in order."""
        raise NotImplementedError

    def verify_log(self, head: str | None = None) -> int:
        """Recompute the log, and what the tables must hold after it.

        Args:
            head: a hash that was noted elsewhere, which the log must contain.

        Returns:
            The number of entries.

        Raises:
            RegistryError: names the first entry, or the row, that is not as it was written.
        """
        raise NotImplementedError

    def head(self) -> str:
        """Hash of the last entry: note it elsewhere, since a database's owner can rewrite a whole chain."""
        raise NotImplementedError

    def deliver(self, limit: int = 100) -> int:
        """Send waiting webhooks; never raises for a receiver's faults. Returns how many were delivered."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError
