"""Webhooks: written with the act, sent after it, signed; a receiver's faults never reach the act.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), for which receivers
find libraries in most languages.
"""

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from trace_retriever.config.promotion import Webhook
from trace_retriever.registry import schema
from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.tables import canonical, outbox, stamp
from trace_retriever.registry.types import Deliveries

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"
MOST_ATTEMPTS = 15  # with the waits below, about half a day
FIRST_WAIT, LONGEST_WAIT = 5.0, 3600.0
LEASE = 120.0  # seconds that a message is left to the process that took it
TOLERANCE = 300.0
LEAST_SECRET = 16


def messages(hooks: Sequence[Webhook], entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the outbox for an entry of the log."""
    body = canonical(
        {
            "type": f"trace.version.{entry['act']}",
            "timestamp": stamp(entry["at"]),
            "data": {name: entry[name] for name in ("seq", "actor", "subject", "details", "hash")},
        }
    )
    return [
        {
            "seq": entry["seq"],
            "url": hook.url,
            "secret_env": hook.secret_env,
            "body": body,
            "state": WAITING,
            "attempts": 0,
            "due": entry["at"],
        }
        for hook in hooks
        if entry["act"] in hook.events
    ]


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: HMAC-SHA256 over id, time and body.

    Raises:
        RegistryError: the secret is too short, or begins like base64 and is none.
    """
    try:
        key = base64.b64decode(secret[6:], validate=True) if secret.startswith("whsec_") else secret.encode()
    except binascii.Error:
        raise RegistryError("the webhook secret begins with whsec_ and is not base64") from None
    if len(key) < LEAST_SECRET:
        raise RegistryError(f"the webhook secret is shorter than {LEAST_SECRET} bytes")
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()


def check_signature(
    secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None
) -> bool:
    """Whether a message is from who knows the secret, and not an old one sent again: for receivers in Python.

    Args:
        headers: `webhook-id`, `webhook-timestamp`, `webhook-signature`, in small letters.
        now: seconds since 1970.  [default: the clock]
    """
    try:
        message_id, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        given = headers["webhook-signature"].split(" ")
    except (KeyError, ValueError):
        return False
    if abs((time.time() if now is None else now) - timestamp) > TOLERANCE:
        return False
    wanted = sign(secret, message_id, timestamp, body).encode()
    return any(hmac.compare_digest(wanted, one.encode()) for one in given)


def deliver(
    engine: Engine, clock: Callable[[], datetime], *, limit: int = 100, tries: int = 3, seconds: float = 5.0
) -> Deliveries:
    """Send what is due. Several processes may do so at once: each message is taken by one of them.

    Args:
        limit: messages at most.
        tries: attempts at each, one after another; then it waits for a later call.
        seconds: that a receiver may take to answer.
    """
    taken = schema.write(engine, lambda connection: _take(connection, clock(), limit))
    sent = 0
    for row in taken:
        problem, made = _send(row, tries, seconds)
        sent += problem is None
        schema.write(engine, partial(_note, row=row, now=clock(), problem=problem, made=made))
    with schema.reading(engine) as connection:
        query = select(outbox.c.state, func.count()).group_by(outbox.c.state)
        counts = {str(state): int(count) for state, count in connection.execute(query)}
    return Deliveries(delivered=sent, waiting=counts.get(WAITING, 0), failed=counts.get(FAILED, 0))


def _take(connection: Connection, now: datetime, limit: int) -> list[Any]:
    query = (
        select(outbox)
        .where(outbox.c.state == WAITING, outbox.c.due <= now)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    rows = list(connection.execute(query))
    leased = update(outbox).where(outbox.c.id.in_([row.id for row in rows]))
    connection.execute(leased.values(due=now + timedelta(seconds=LEASE)))
    return rows


def _note(connection: Connection, *, row: Any, now: datetime, problem: str | None, made: int) -> None:
    attempts = row.attempts + made
    state = DELIVERED if problem is None else FAILED if attempts >= MOST_ATTEMPTS else WAITING
    wait = min(FIRST_WAIT * 2.0**attempts, LONGEST_WAIT)
    change = update(outbox).where(outbox.c.id == row.id, outbox.c.state == WAITING)
    due = now + timedelta(seconds=wait)
    connection.execute(change.values(state=state, attempts=attempts, due=due, problem=problem))


def _send(row: Any, tries: int, seconds: float) -> tuple[str | None, int]:
    """Try a message some times; returns the last problem, or None, and how many attempts that were."""
    secret = os.environ.get(row.secret_env)
    if not secret:
        return f"variable {row.secret_env} holds no secret", 0
    attempts = Retrying(
        retry=retry_if_exception_type(_NotTaken),
        stop=stop_after_attempt(tries),
        wait=wait_exponential(0.1, max=2.0),
    )
    try:
        attempts(_post, row, secret, seconds)
    except RetryError as error:
        return str(error.last_attempt.exception()), tries
    except RegistryError as error:
        return error.problem, 0
    return None, int(attempts.statistics["attempt_number"])


class _NotTaken(Exception):
    """A receiver did not take a message: in words that hold nothing of it."""


def _post(row: Any, secret: str, seconds: float) -> None:
    import httpx

    body, message_id, timestamp = row.body.encode(), f"trace-{row.seq}-{row.id}", int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }
    try:
        # No redirects, no proxies from the environment: the address in the rules, or nothing.
        with (
            httpx.Client(timeout=seconds, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", row.url, content=body, headers=headers) as answer,
        ):
            if not answer.is_success:
                raise _NotTaken(f"the receiver answered {answer.status_code}")
    except httpx.HTTPError as error:
        raise _NotTaken(f"the receiver cannot be reached: {type(error).__name__}") from None
