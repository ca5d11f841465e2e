"""What the tables must hold if the log is true: the log folded into rows, and compared with the rows there.

Rows are compared as text, as the database holds them, so that a changed byte cannot hide behind a type.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from trace_retriever.config.promotion import Act
from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.moves import MOVES, REQUEST_MOVES
from trace_retriever.registry.tables import canonical
from trace_retriever.registry.types import RequestState, State

Row = dict[str, Any]


@dataclass
class Book:
    """The rows of three tables by id, and the id of each version's label."""

    versions: dict[int, Row] = field(default_factory=dict)
    requests: dict[int, Row] = field(default_factory=dict)
    decisions: dict[int, Row] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)

    def tables(self) -> dict[str, dict[int, Row]]:
        """Table → its rows."""
        return {
            "trace_versions": self.versions,
            "trace_requests": self.requests,
            "trace_decisions": self.decisions,
        }


def fold(entries: Iterable[Row]) -> Book:
    """Follow a log's entries from the first to the last.

    Args:
        entries: as `chain.raw_entries` gives them.

    Raises:
        RegistryError: names an entry that no act of the registry wrote.
    """
    book = Book()
    for entry in entries:
        try:
            _follow(book, entry, Act(entry["act"]), json.loads(entry["details"]))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            problem = f"entry {entry['seq']} of the log is none that an act writes: {error!r}"
            raise RegistryError(problem) from None
    return book


def _follow(book: Book, entry: Row, act: Act, details: Row) -> None:
    if act == Act.REGISTER:
        _register(book, entry, details["version"])
    elif act == Act.REQUEST:
        _open(book, entry, details)
    elif "request_state" in details:
        _decide(book, entry, act, details)
    for label, old, new in details["moves"]:
        _move(book.versions[book.labels[label]], entry, act, State(old), State(new))
    if act == Act.PROMOTE:
        book.versions[book.labels[entry["subject"]]]["replaced"] = details["replaced"]


def _register(book: Book, entry: Row, given: Row) -> None:
    row = {
        **given,
        "digests": canonical(given["digests"]),
        "gates": canonical(given["gates"]),
        "state": State.CANDIDATE.value,
        "changed_at": given["registered_at"],
        "replaced": None,
    }
    if entry["subject"] in book.labels or given["id"] in book.versions:
        raise ValueError("the version is there already")
    book.versions[given["id"]] = row
    book.labels[entry["subject"]] = given["id"]


def _open(book: Book, entry: Row, details: Row) -> None:
    if details["request"] in book.requests:
        raise ValueError("the request is there already")
    book.requests[details["request"]] = {
        "id": details["request"],
        "version_id": book.labels[entry["subject"]],
        "digest": details["digest"],
        "state": RequestState.OPEN.value,
        "requested_by": entry["actor"],
        "why": details["why"],
        "created": entry["at"],
        "expires": details["expires"],
        "closed": None,
    }


def _decide(book: Book, entry: Row, act: Act, details: Row) -> None:
    request, new = book.requests[details["request"]], RequestState(details["request_state"])
    old = RequestState(request["state"])
    if old != new:
        if (old, new) not in REQUEST_MOVES:
            raise ValueError(f"a request does not go from {old} to {new}")
        request["state"] = new.value
        request["closed"] = request["closed"] or entry["at"]
        request["expires"] = details.get("expires", request["expires"])
    if act in (Act.APPROVE, Act.REJECT):
        book.decisions[details["decision"]] = {
            "id": details["decision"],
            "request_id": details["request"],
            "actor": entry["actor"],
            "at": entry["at"],
            "approve": act == Act.APPROVE,
            "why": details["why"],
            "evidence": details["evidence"],
        }


def _move(version: Row, entry: Row, act: Act, old: State, new: State) -> None:
    if version["state"] != old or (old, new) not in MOVES.get(act, ()):
        raise ValueError(f"{act} does not move a version from {version['state']} to {new}")
    version["state"], version["changed_at"] = new.value, entry["at"]


def compare(connection: Connection, book: Book) -> None:
    """Hold the tables against the log.

    Raises:
        RegistryError: names the first row and column that are not what the log says.
    """
    for table, wanted in book.tables().items():
        found = {
            row["id"]: dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()
        }
        if odd := sorted(set(wanted) ^ set(found)):
            missing = "is missing" if odd[0] in wanted else "is in no entry of the log"
            raise RegistryError(f"row {odd[0]} of {table} {missing}")
        for number, row in wanted.items():
            _compare_row(table, number, row, found[number])


def _compare_row(table: str, number: int, wanted: Row, found: Row) -> None:
    for name in sorted(set(wanted) | set(found)):
        if wanted.get(name) != found.get(name):
            raise RegistryError(
                f"row {number} of {table} is not what the log says: {name} is {str(found.get(name))[:80]!r}, "
                f"the log says {str(wanted.get(name))[:80]!r}"
            )
