"""What a rollout tells the registry: the canary begins, is promoted, or goes back; with the figures."""

from collections.abc import Mapping
from typing import Any

from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Act, Actor, State, Version
from trace_retriever.rollout.errors import RolledBack, RolloutError
from trace_retriever.rollout.steps import Say

LONGEST = 1900  # characters; the registry takes 2000
_ASK = "request and approve it: `trace registry request`, `trace review`"
_ANEW = "it does not come again: correct it, and register it under another version"
_REMEDIES = {
    State.CANDIDATE: _ASK,
    State.REQUESTED: "have it approved: `trace review`",
    State.REJECTED: _ANEW,
    State.PRODUCTION: "it has all of the traffic; `trace registry list` says what else there is",
    State.RETIRED: _ANEW,
}


def need_deployable(version: Version) -> None:
    """Refuse a version that nobody approved, or that is done with.

    Raises:
        RolloutError: neither approved nor the canary.
    """
    if version.state not in (State.APPROVED, State.CANARY):
        raise RolloutError(
            f"{version.label} is {version.state}, not approved", remedy=_REMEDIES[version.state]
        )


def need_undecided(registry: Registry, version: Version) -> None:
    """Refuse a version that a rollout has sent back, such as when a task that did so is tried again.

    Raises:
        RolledBack: carries the reason that the log has.
    """
    last = registry.history(version.name, version.version)[-1]
    if version.state is State.RETIRED and last.act is Act.ABORT:
        why = last.details.get("why")
        raise RolledBack(f"{version.label} was sent back: {why}", remedy=_REMEDIES[State.RETIRED])


def promoted_because(registry: Registry, version: Version) -> str | None:
    """Why a rollout put a version into production; None where that is not the last that happened to it."""
    last = registry.history(version.name, version.version)[-1]
    in_production = version.state is State.PRODUCTION and last.act is Act.PROMOTE
    return str(last.details.get("why")) if in_production else None


def begin(registry: Registry, version: Version, *, by: Actor, say: Say) -> Version:
    """Make a version the canary; one that is it already, after a rollout was killed, is taken up again.

    Raises:
        RolloutError: see `need_deployable`.
        RegistryError: it may not, or its files are not what was approved.
    """
    now = registry.version(version.name, version.version)
    need_deployable(now)
    if now.state is State.CANARY:
        say(f"{now.label}: is the canary already; taken up again from the first step")
        return now
    found = registry.start_canary(now.name, now.version, by=by, why="the rollout begins")
    say(f"{found.label}: canary, manifest {found.digests['manifest']}")
    return found


def finish(
    registry: Registry, version: Version, *, by: Actor, why: str, figures: Mapping[str, Any], say: Say
) -> Version:
    """Put the canary into production."""
    found = registry.promote(version.name, version.version, by=by, why=why[:LONGEST], figures=figures)
    say(f"{found.label}: in production" + (f" in place of {found.replaced}" if found.replaced else ""))
    return found


def abort(
    registry: Registry, version: Version, *, by: Actor, why: str, figures: Mapping[str, Any], say: Say
) -> Version:
    """Send the canary back: it is retired, the champion stays."""
    found = registry.abort_canary(version.name, version.version, by=by, why=why[:LONGEST], figures=figures)
    say(f"{found.label}: sent back: {why}")
    return found
