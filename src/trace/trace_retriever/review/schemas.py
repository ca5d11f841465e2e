"""What the REST interface takes and gives, as JSON."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from trace_retriever.config.promotion import Act, Role
from trace_retriever.registry.types import RequestState, State


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Person(_Out):
    """Whose token it is, and what the rules let them do."""

    name: str
    roles: list[Role]


class VersionOut(_Out):
    """A registered version."""

    name: str
    version: str
    state: State
    digests: dict[str, str]
    gates: dict[str, bool | None]
    commit: str | None
    run: str | None
    registered_by: str
    registered_at: datetime
    changed_at: datetime
    replaced: str | None


class Model(BaseModel):
    """What is in production, and what is tried."""

    name: str
    champion: VersionOut | None
    canary: VersionOut | None


class DecisionOut(_Out):
    """One reviewer's decision."""

    by: str
    at: datetime
    approve: bool
    why: str
    evidence: str


class RequestOut(_Out):
    """A request for promotion."""

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
    decisions: list[DecisionOut]


class EntryOut(_Out):
    """An entry of the log."""

    seq: int
    at: datetime
    actor: str
    act: Act
    subject: str
    details: dict[str, Any]
    previous: str
    hash: str


class Verification(BaseModel):
    """Whether the log is as it was written."""

    verified: bool
    entries: int
    head: str
    problem: str | None


class FiguresOut(_Out):
    """What one model does on one pair."""

    value: float
    low: float | None
    high: float | None
    reasoning: float
    tokens: float
    queries: int


class PairOut(_Out):
    """One pair under the version and under the champion."""

    pair: str
    true_route: str | None
    k: int | None
    own: FiguresOut
    champion: FiguresOut | None
    difference: float | None
    low: float | None
    high: float | None


class Evidence(BaseModel):
    """What a decision is made on; `digest` goes back with it."""

    digest: str
    verdict: dict[str, Any]
    champion: str | None
    pairs: list[PairOut]
    lost: int
    won: int


class Why(_In):
    """A reason."""

    why: str = Field(min_length=1, max_length=2000)


class Decide(Why):
    """A decision: the reason, and the digest of the evidence that it was made on."""

    evidence: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class ProblemOut(BaseModel):
    """A refusal (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str
    remedy: str | None = None
