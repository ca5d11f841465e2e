"""The log: each entry is bound to all before it by a hash, so that no one entry can be changed unseen."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, func, insert, select, type_coerce

from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.migrations.guards import GENESIS
from trace_retriever.registry.tables import canonical, log, stamp

FIELDS = ("seq", "at", "actor", "act", "subject", "details", "previous")


def entry_hash(entry: dict[str, Any]) -> str:
    """SHA-256 over an entry's fields, all as the database holds them (`details` as text)."""
    written = canonical([entry[name] for name in FIELDS])
    return "sha256:" + hashlib.sha256(written.encode()).hexdigest()


def head(connection: Connection) -> str:
    """Hash of the last entry, or of the empty log."""
    found = connection.scalar(select(log.c.hash).order_by(log.c.seq.desc()).limit(1))
    return str(found) if found is not None else GENESIS


def append(
    connection: Connection, *, at: datetime, actor: str, act: str, subject: str, details: dict[str, Any]
) -> dict[str, Any]:
    """Write the next entry; its transaction must be the only one that writes.

    Returns:
        The entry's columns, as they were given, and its `hash`.
    """
    entry: dict[str, Any] = {
        "seq": (connection.scalar(select(func.max(log.c.seq))) or 0) + 1,
        "at": at,
        "actor": actor,
        "act": act,
        "subject": subject,
        "details": details,
        "previous": head(connection),
    }
    entry["hash"] = entry_hash(entry | {"at": stamp(at), "details": canonical(details)})
    connection.execute(insert(log).values(entry))
    return entry


def raw_entries(connection: Connection) -> Iterator[dict[str, Any]]:
    """All entries in order, each column as the database holds it."""
    columns = [type_coerce(column, Text) if column.name in ("at", "details") else column for column in log.c]
    for row in connection.execute(select(*columns).order_by(log.c.seq)):
        yield dict(zip(log.c.keys(), row, strict=True))


def check(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Pass entries on, each after it was found to follow the one before.

    Raises:
        RegistryError: names the first entry that is missing, or not as it was written.
    """
    previous = GENESIS
    for number, entry in enumerate(entries, 1):
        if entry["seq"] != number:
            raise RegistryError(f"the log lacks entry {number}: {entry['seq']} stands in its place")
        if entry["previous"] != previous:
            raise RegistryError(f"entry {number} of the log does not follow the one before it")
        if entry["hash"] != entry_hash(entry):
            raise RegistryError(f"entry {number} of the log is not as it was written")
        previous = entry["hash"]
        yield entry
