"""What the registry hands out: versions, requests, decisions and entries of its log, all frozen."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from trace_retriever.config.promotion import Act, Role

__all__ = [
    "Act",
    "Actor",
    "Decision",
    "Deliveries",
    "Entry",
    "Request",
    "RequestState",
    "Role",
    "State",
    "Version",
]

CLOCK = "(clock)"  # no person can have this name


class State(StrEnum):
    """Where a version stands. The moves between them: `moves.MOVES`, and in the database itself."""

    CANDIDATE = "candidate"
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANARY = "canary"
    PRODUCTION = "production"
    RETIRED = "retired"


class RequestState(StrEnum):
    """Where a request stands; an approval that was not used in time expires too."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Actor:
    """A person, and what they may do: from `Registry.actor`, never from what a client says of itself."""

    name: str
    roles: frozenset[Role] = frozenset()

    def has(self, role: Role) -> bool:
        """Whether they may act in a role; an admin may in each."""
        return bool({role, Role.ADMIN} & self.roles)


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered model. All but its state, `changed_at` and `replaced` is fixed when it is registered.

    Attributes:
        name, version: together they name it.
        package: absolute path of its directory in the registry's store, or the URI it was registered with.
        digests: `manifest` (names every byte of the package), `model` (the trained model that was evaluated:
            what the index's `embed.json` names), `index`, `data`, `code`, `params`, `verdict`, `evidence`
            (all files of `evidence/`), `evaluation` and, where the gate had one, `champion` (evaluations).
        gates: check of the verdict → held (None: did not apply).
        index: where the index lay when it was registered; None without one.
        commit, run: of the source and the pipeline run, where they were told.
        changed_at: of the last move.
        replaced: the version that it took the place of in production; rollback goes there.
    """

    id: int
    name: str
    version: str
    state: State
    package: str
    digests: dict[str, str]
    gates: dict[str, bool | None] = field(repr=False)
    index: str | None
    commit: str | None
    run: str | None
    registered_by: str
    registered_at: datetime
    changed_at: datetime
    replaced: str | None

    @property
    def label(self) -> str:
        """Name and version, for people and for the log."""
        return f"{self.name} {self.version}"

    @property
    def directory(self) -> Path | None:
        """The package's directory on this machine; None where the package is a URI."""
        return None if "://" in self.package else Path(self.package)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one reviewer said, why, and the digest of the evidence that they saw."""

    by: str
    at: datetime
    approve: bool
    why: str
    evidence: str


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to put a version into production.

    Attributes:
        digest: of the version's manifest: what is asked for, and all that an approval covers.
        expires: until when it may be decided; of an approved one, until when the approval may be used.
        closed: when it left the state open.
    """

    id: int
    name: str
    version: str
    digest: str
    state: RequestState
    requested_by: str
    why: str
    created: datetime
    expires: datetime
    closed: datetime | None
    decisions: tuple[Decision, ...] = ()

    @property
    def label(self) -> str:
        """Name and version that it is about."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the log: bound to all before it by `previous`, the hash of the one before.

    Attributes:
        seq: 1, 2, 3, … without a gap.
        actor: who; `CLOCK` where time alone did it.
        subject: label of the version.
        details: of the act: `why`, `digest`, `moves` (version → from, to), `request`, ...
    """

    seq: int
    at: datetime
    actor: str
    act: Act
    subject: str
    details: dict[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Deliveries:
    """Webhooks: sent just now, still waiting (tried again later), given up after many attempts."""

    delivered: int
    waiting: int
    failed: int
