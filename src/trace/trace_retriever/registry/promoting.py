"""Acts of deployers: canary, promote, abort, roll back."""

from collections.abc import Mapping
from typing import Any

from trace_retriever.config.promotion import Act
from trace_retriever.registry import rules as says
from trace_retriever.registry.change import Change, need_state
from trace_retriever.registry.errors import Conflict, RegistryError
from trace_retriever.registry.rows import REQUESTS, find_requests, find_version, in_state
from trace_retriever.registry.tables import canonical
from trace_retriever.registry.types import Actor, RequestState, State, Version

MOST_FIGURES = 20_000  # characters of JSON


def about(
    why: str, version: Version, verified: bool | None, figures: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The details of an act's entry.

    Args:
        verified: whether the package's bytes were compared just before; None where they did not matter.
        figures: JSON that the act was decided by, such as the canary's metrics.

    Raises:
        RegistryError: no reason, or figures that are no JSON or too many.
    """
    details: dict[str, Any] = {"why": says.reason(why), "digest": version.digests["manifest"]}
    if verified is not None:
        details["verified"] = verified
    if figures:
        try:
            size = len(canonical(dict(figures)))
        except (TypeError, ValueError) as error:
            raise RegistryError(f"figures are JSON: {error}") from None
        if size > MOST_FIGURES:
            raise RegistryError(f"figures of {size:,} characters; {MOST_FIGURES:,} at most")
        details["figures"] = dict(figures)
    return details


def start_canary(change: Change, version: Version, details: dict[str, Any], *, by: Actor) -> Version:
    """approved → canary.

    Raises:
        Conflict: not approved (any more), or another canary is there.
        NotAllowed: the verdict is not what the rules ask for now.
    """
    current = find_version(change.connection, version.name, version.version)
    need_state(current, State.APPROVED, "tried as a canary")
    if other := in_state(change.connection, current.name, State.CANARY):
        raise Conflict(f"{other.label} is the canary", remedy="promote or abort it first")
    says.need_gates(change.rules, current, in_state(change.connection, current.name, State.PRODUCTION))
    [approval] = find_requests(
        change.connection,
        REQUESTS.version_id == current.id,
        REQUESTS.state == RequestState.APPROVED,
        REQUESTS.digest == current.digests["manifest"],
    )
    moved = change.move(current, State.CANARY)
    change.note(by.name, Act.CANARY, current.label, {**details, "request": approval.id}, [moved])
    return find_version(change.connection, current.name, current.version)


def promote(change: Change, version: Version, details: dict[str, Any], *, by: Actor) -> Version:
    """canary → production; the champion retires.

    Raises:
        Conflict: not the canary (any more).
    """
    current = find_version(change.connection, version.name, version.version)
    need_state(current, State.CANARY, "promoted")
    champion = in_state(change.connection, current.name, State.PRODUCTION)
    moves = [change.move(champion, State.RETIRED)] if champion else []
    replaced = champion.version if champion else None
    moves.append(change.move(current, State.PRODUCTION, replaced=replaced))
    change.note(by.name, Act.PROMOTE, current.label, {**details, "replaced": replaced}, moves)
    return find_version(change.connection, current.name, current.version)


def abort_canary(change: Change, version: Version, details: dict[str, Any], *, by: Actor) -> Version:
    """canary → retired.

    Raises:
        Conflict: not the canary (any more).
    """
    current = find_version(change.connection, version.name, version.version)
    need_state(current, State.CANARY, "aborted")
    moved = change.move(current, State.RETIRED)
    change.note(by.name, Act.ABORT, current.label, details, [moved])
    return find_version(change.connection, current.name, current.version)


def rollback(
    change: Change, champion: Version, earlier: Version, details: dict[str, Any], *, by: Actor
) -> Version:
    """production → retired, and what it replaced → production.

    Raises:
        Conflict: another version is in production by now.
    """
    current = in_state(change.connection, champion.name, State.PRODUCTION)
    if current is None or current.id != champion.id:
        raise Conflict(f"{champion.label} is no longer in production", remedy="look again")
    back = find_version(change.connection, earlier.name, earlier.version)
    need_state(back, State.RETIRED, "brought back")
    moves = [change.move(current, State.RETIRED), change.move(back, State.PRODUCTION)]
    change.note(by.name, Act.ROLLBACK, back.label, {**details, "left": current.version}, moves)
    return find_version(change.connection, back.name, back.version)


def earlier_than(version: Version) -> str:
    """The version that a rollback from this one brings back.

    Raises:
        Conflict: there is none.
    """
    if version.replaced is None:
        raise Conflict(f"nothing was in production before {version.label}", remedy="promote another version")
    return version.replaced
