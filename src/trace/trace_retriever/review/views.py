"""What the page of a version shows: its evidence beside the champion's, in the order in which it is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from trace_retriever.registry.types import Act, Actor, RequestState, Role, State, Version
from trace_retriever.registry.types import Request as Asked
from trace_retriever.review.comparison import AVERAGE, Change, PairRow, changes, misses, pair_rows
from trace_retriever.review.curves import Plot, plots
from trace_retriever.review.desk import Desk
from trace_retriever.review.dossier import Dossier, EvidenceChanged
from trace_retriever.review.sheets import Sheet, chosen, sheets

FIRST_SHEETS, LISTED_CHANGES = 4, 30


@dataclass(frozen=True)
class Beside:
    """A version's dossier and that of the champion.

    Attributes:
        trouble: why there is no dossier, in words.
        champion: the version in production, unless that is this one.
        champion_trouble: why the champion cannot be shown.
    """

    own: Dossier | None
    trouble: str | None
    champion: Version | None
    other: Dossier | None
    champion_trouble: str | None


def beside(desk: Desk, version: Version) -> Beside:
    """Read both."""
    own, trouble = _dossier(desk, version)
    champion = desk.registry.champion(version.name)
    if champion is None or champion.id == version.id:
        return Beside(own, trouble, None, None, None)
    return Beside(own, trouble, champion, *_dossier(desk, champion))


def _dossier(desk: Desk, version: Version) -> tuple[Dossier | None, str | None]:
    try:
        return desk.dossiers.of(version), None
    except EvidenceChanged as error:
        return None, f"{error.problem}; {error.remedy}"


@dataclass(frozen=True)
class Group:
    """Checks of one kind; `note` stands for all of them where none applies and all say the same."""

    name: str
    checks: list[dict[str, Any]]
    note: str | None

    @property
    def failed(self) -> int:
        """How many said no."""
        return sum(check["passed"] is False for check in self.checks)

    @property
    def held(self) -> int:
        """How many held."""
        return sum(check["passed"] is True for check in self.checks)


def groups(checks: Sequence[dict[str, Any]]) -> list[Group]:
    """The checks by their kind, kinds with a failure first."""
    found = []
    for name, part in groupby(checks, key=lambda check: str(check["name"])):
        kind = list(part)
        reasons = {check["why"] for check in kind if check["passed"] is None}
        none_applies = all(check["passed"] is None for check in kind) and len(reasons) == 1
        found.append(Group(name, kind, reasons.pop() if none_applies else None))
    return sorted(found, key=lambda group: group.failed == 0)


@dataclass(frozen=True)
class Report:
    """The evidence, ready to be shown; see `Beside` for the two models.

    Attributes:
        rows: figures per pair, the average first.
        lost: queries that only the champion answers (without a champion: those that are missed).
        won: queries that only this model answers.
        sheets: the first of `lost` that there are samples of, or some samples where there are none.
        curves: plots of the training: those shown at once, and the others.
    """

    rows: list[PairRow]
    groups: list[Group]
    lost: list[Change]
    won: list[Change]
    sheets: list[Sheet]
    kind: str
    curves: tuple[list[Plot], list[Plot]]

    @property
    def average(self) -> PairRow | None:
        """The row over all pairs."""
        return next((row for row in self.rows if row.pair == AVERAGE), None)

    @property
    def widest(self) -> float:
        """The largest end of a difference's interval: the scale of their bars."""
        ends = [abs(end) for row in self.rows for end in (row.low, row.high) if end is not None]
        return max([0.05, *ends])


def report(own: Dossier, other: Dossier | None) -> Report:
    """Compute what the page shows."""
    lost, won = changes(own, other) if other is not None else (misses(own), [])
    qids = chosen("lost", lost, won, own, None)
    kind = "lost" if qids else "all"
    qids = qids or chosen("all", lost, won, own, None)
    shown = list(sheets(qids[:FIRST_SHEETS], own, other))
    rows, checks = pair_rows(own, other), groups(own.verdict["checks"])
    return Report(rows, checks, lost, won, shown, kind, plots(own, other))


def may_decide(desk: Desk, asked: Asked, actor: Actor) -> str | None:
    """Why this actor may not decide on a request, in words; None where they may.

    The registry decides; this only spares people a form that would be refused.
    """
    if asked.state is not RequestState.OPEN:
        return f"This request is {asked.state.value}."
    if not actor.has(Role.REVIEWER):
        return f"You ({actor.name}) may look, not decide: the rules do not name you as a reviewer."
    if desk.registry.rules.four_eyes and asked.requested_by == actor.name:
        return "You asked for this, so somebody else has to decide."
    if any(decision.by == actor.name for decision in asked.decisions):
        return "You have decided; another reviewer has to."
    return None


def acts_for(version: Version, actor: Actor) -> list[Act]:
    """What an actor may do with a version from where it stands, beyond deciding on a request."""
    by_state = {
        State.CANDIDATE: [(Act.REQUEST, Role.REQUESTER)],
        State.APPROVED: [(Act.CANARY, Role.DEPLOYER)],
        State.CANARY: [(Act.PROMOTE, Role.DEPLOYER), (Act.ABORT, Role.DEPLOYER)],
        State.PRODUCTION: [(Act.ROLLBACK, Role.DEPLOYER)],
    }
    return [act for act, role in by_state.get(version.state, []) if actor.has(role)]
