"""What the rules say of an act: pure functions, without a database."""

import re
from collections.abc import Iterator

from trace_retriever.config.promotion import USER, RegistryRules, Role
from trace_retriever.registry.errors import NotAllowed, RegistryError
from trace_retriever.registry.types import Actor, Request, Version

LONGEST_REASON = 2000
RULES = "the rules (deploy/promotion.yaml, registry)"


def actor_of(rules: RegistryRules, name: str) -> Actor:
    """A person with their roles; none for those that the rules do not name.

    Raises:
        RegistryError: not the name of a person.
    """
    if not re.fullmatch(USER, name):
        raise RegistryError(f"not the name of a person: {name[:80]!r}", remedy="an account or a mail address")
    return Actor(name, frozenset(rules.roles.get(name, ())))


def need_role(rules: RegistryRules, by: Actor, role: Role, to: str) -> None:
    """Refuse who lacks a role. Roles come from the rules, whatever the actor object says.

    Raises:
        NotAllowed: they lack it.
    """
    if not actor_of(rules, by.name).has(role):
        remedy = f"{RULES} would need roles: {{{by.name}: [{role}]}}"
        raise NotAllowed(f"{by.name} may not {to}: not a {role}", remedy=remedy)


def reason(why: str) -> str:
    """A reason, trimmed.

    Raises:
        RegistryError: it is empty, too long, or holds characters that are no text.
    """
    said = why.strip()
    if not said:
        raise RegistryError("a reason is required", remedy="say why: --why '…'")
    if len(said) > LONGEST_REASON:
        raise RegistryError(f"a reason of {len(said)} characters; {LONGEST_REASON} at most")
    if not all(char.isprintable() or char in "\n\t\r" for char in said):
        raise RegistryError("a reason is text: no control characters")
    return said


def short(name: str, value: str | None, most: int) -> str | None:
    """A word such as a commit or a run's id, or None.

    Raises:
        RegistryError: it is empty, too long, or more than a word.
    """
    if value is not None and not re.fullmatch(rf"[A-Za-z0-9._:/-]{{1,{most}}}", value):
        raise RegistryError(f"not a {name}: {value[:80]!r}")
    return value


def need_gates(rules: RegistryRules, version: Version, champion: Version | None) -> None:
    """Refuse a version whose verdict is not what the rules ask for.

    Args:
        champion: what is in production now.

    Raises:
        NotAllowed: names each check that does not hold.
    """
    problems = list(_unmet(rules, version, champion))
    if problems:
        remedy = f"train and gate a better version, or change {RULES}"
        raise NotAllowed(f"{version.label} does not meet the rules: {'; '.join(problems)}", remedy=remedy)


def _unmet(rules: RegistryRules, version: Version, champion: Version | None) -> Iterator[str]:
    if rules.gates == "all":
        yield from (f"{name} failed" for name, held in version.gates.items() if held is False)
    else:
        for name in rules.gates:
            held = version.gates.get(name)
            if held is not True:
                known = (
                    "failed" if held is False else "did not apply" if name in version.gates else "is missing"
                )
                yield f"{name} {known}"
    judged = version.digests.get("champion")
    if rules.current_champion and champion and judged != champion.digests["evaluation"]:
        yield f"its gate did not compare with {champion.label}, which is in production"


def need_other_eyes(rules: RegistryRules, by: Actor, version: Version, request: Request) -> None:
    """Refuse who would decide on their own request, or has decided on it already.

    Raises:
        NotAllowed: they may not decide on this one.
    """
    if rules.four_eyes and by.name == request.requested_by:
        raise NotAllowed(
            f"{by.name} made request {request.id} and may not decide on it", remedy="ask another reviewer"
        )
    if not rules.registrant_may_approve and by.name == version.registered_by:
        raise NotAllowed(
            f"{by.name} registered {version.label} and may not decide on it", remedy="ask another reviewer"
        )
    if any(decision.by == by.name for decision in request.decisions):
        raise NotAllowed(f"{by.name} has decided on request {request.id}", remedy="ask another reviewer")
