"""Acts of requesters and reviewers: register, request, approve, reject, withdraw."""

from typing import Any

from sqlalchemy import insert

from trace_retriever.config.promotion import Act, Role
from trace_retriever.registry import rules as says
from trace_retriever.registry import tables
from trace_retriever.registry.change import Change, hours, need_state
from trace_retriever.registry.errors import Conflict, NotAllowed
from trace_retriever.registry.packages import need_same_evidence
from trace_retriever.registry.rows import VERSIONS, find_request, find_version, find_versions, in_state
from trace_retriever.registry.types import Actor, Request, RequestState, State, Version


def register(change: Change, *, by: Actor, row: dict[str, Any]) -> Version:
    """Add a version; the same package again is the version that is there.

    Args:
        row: the version's own columns, but those that this act gives it.

    Raises:
        Conflict: the version is there, with other digests.
    """
    found = find_versions(change.connection, VERSIONS.name == row["name"], VERSIONS.version == row["version"])
    if found:
        if found[0].digests == row["digests"]:
            return found[0]
        raise Conflict(
            f"{found[0].label} is registered with other bytes ({found[0].digests['manifest']})",
            remedy="a changed model or index is another version: --set register.version=…",
        )
    fixed = {
        **row,
        "id": change.next_id(tables.versions),
        "registered_by": by.name,
        "registered_at": change.now,
    }
    begun = fixed | {"state": State.CANDIDATE, "changed_at": change.now, "replaced": None}
    change.connection.execute(insert(tables.versions).values(begun))
    noted = fixed | {"registered_at": tables.stamp(change.now)}
    change.note(by.name, Act.REGISTER, f"{row['name']} {row['version']}", {"version": noted})
    return find_version(change.connection, row["name"], row["version"])


def request(change: Change, version: Version, *, by: Actor, why: str) -> Request:
    """Open a request for a version as it is now.

    Raises:
        NotAllowed: not a requester, or the verdict is not what the rules ask for.
        Conflict: the version is no candidate, or is not the one that was meant.
    """
    says.need_role(change.rules, by, Role.REQUESTER, "request a promotion")
    current = find_version(change.connection, version.name, version.version)
    if current.digests != version.digests:
        raise Conflict(f"{version.label} has other digests than the version that was meant")
    need_state(current, State.CANDIDATE, "requested")
    says.need_gates(change.rules, current, in_state(change.connection, current.name, State.PRODUCTION))
    number, reason = change.next_id(tables.requests), says.reason(why)
    expires = change.now + hours(change.rules.expires_hours)
    row = {
        "id": number,
        "version_id": current.id,
        "digest": current.digests["manifest"],
        "state": RequestState.OPEN,
        "requested_by": by.name,
        "why": reason,
        "created": change.now,
        "expires": expires,
    }
    change.connection.execute(insert(tables.requests).values(row))
    moved = change.move(current, State.REQUESTED)
    details = {
        "request": number,
        "why": reason,
        "digest": row["digest"],
        "expires": tables.stamp(expires),
        "request_state": RequestState.OPEN,
    }
    change.note(by.name, Act.REQUEST, current.label, details, [moved])
    return find_request(change.connection, number)


def decide(change: Change, request_id: int, *, by: Actor, approve: bool, why: str, evidence: str) -> Request:
    """Write one reviewer's decision; the one that settles it moves the version too.

    Raises:
        NotAllowed: not a reviewer, four eyes, or (to approve) the verdict is not what the rules ask for.
        Conflict: the request is decided, withdrawn or expired; the evidence is not what was seen.
    """
    says.need_role(change.rules, by, Role.REVIEWER, "decide on a request")
    asked = find_request(change.connection, request_id)
    if asked.state != RequestState.OPEN:
        raise Conflict(f"request {request_id} is {asked.state}; only an open one can be decided")
    version = find_version(change.connection, asked.name, asked.version)
    says.need_other_eyes(change.rules, by, version, asked)
    if evidence != version.digests["evidence"]:
        remedy = "look at the evidence again, and decide on what it is now"
        raise Conflict(f"the evidence that was seen is not that of {version.label}", remedy=remedy)
    need_same_evidence(version)
    if approve:
        says.need_gates(change.rules, version, in_state(change.connection, version.name, State.PRODUCTION))
    reason = says.reason(why)
    decision = {
        "id": change.next_id(tables.decisions),
        "request_id": request_id,
        "actor": by.name,
        "at": change.now,
        "approve": approve,
        "why": reason,
        "evidence": evidence,
    }
    change.connection.execute(insert(tables.decisions).values(decision))
    details = {
        "request": request_id,
        "decision": decision["id"],
        "why": reason,
        "evidence": evidence,
        "digest": asked.digest,
    }
    _settle(change, version, asked, by, approve, details)
    return find_request(change.connection, request_id)


def _settle(
    change: Change, version: Version, asked: Request, by: Actor, approve: bool, details: dict[str, Any]
) -> None:
    """Move request and version where this decision is the last one that is needed, and write the entry."""
    moves = []
    details["request_state"] = RequestState.OPEN
    if not approve:
        details["request_state"] = RequestState.REJECTED
        change.close(asked, RequestState.REJECTED)
        moves = [change.move(version, State.REJECTED)]
    elif len(asked.decisions) + 1 >= change.rules.approvers:  # the open ones are all approvals
        until = change.now + hours(change.rules.approval_hours)
        details |= {"request_state": RequestState.APPROVED, "expires": tables.stamp(until)}
        change.close(asked, RequestState.APPROVED, expires=until)
        moves = [change.move(version, State.APPROVED)]
    act = Act.APPROVE if approve else Act.REJECT
    change.note(by.name, act, version.label, details, moves)


def withdraw(change: Change, request_id: int, *, by: Actor, why: str) -> Request:
    """Close an open request; its version is a candidate again.

    Raises:
        NotAllowed: neither who made it nor an admin.
        Conflict: it is not open.
    """
    asked = find_request(change.connection, request_id)
    if by.name != asked.requested_by and Role.ADMIN not in says.actor_of(change.rules, by.name).roles:
        raise NotAllowed(f"{by.name} did not make request {request_id}", remedy=f"ask {asked.requested_by}")
    if asked.state != RequestState.OPEN:
        raise Conflict(f"request {request_id} is {asked.state}; only an open one can be withdrawn")
    reason = says.reason(why)
    change.close(asked, RequestState.WITHDRAWN)
    version = find_version(change.connection, asked.name, asked.version)
    moved = change.move(version, State.CANDIDATE)
    details = {
        "request": request_id,
        "why": reason,
        "digest": asked.digest,
        "request_state": RequestState.WITHDRAWN,
    }
    change.note(by.name, Act.WITHDRAW, asked.label, details, [moved])
    return find_request(change.connection, request_id)
