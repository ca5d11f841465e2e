"""The registry for a terminal: aligned tables of what it hands out, and the same as JSON."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from trace_retriever.registry.types import Entry, Request, Version

SHORT = 19  # of a digest: enough to tell two apart


def as_json(value: Any) -> str:
    """A version, request, entry, or a list of them, as JSON; times in ISO 8601."""
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in (f.name for f in dataclasses.fields(value))}
    return value.isoformat() if isinstance(value, datetime) else value


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells as lines, each column as wide as its widest cell."""
    held = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*held, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in held
    )


def minute(at: datetime) -> str:
    """A time to the minute, UTC."""
    return at.strftime("%Y-%m-%d %H:%M")


def versions_table(versions: Sequence[Version]) -> str:
    """One line a version."""
    head = ("version", "state", "since", "registered by", "manifest")
    rows = [(v.label, v.state, minute(v.changed_at), v.registered_by, _short(v.digests["manifest"]))
            for v in versions]  # fmt: skip
    return aligned([head, *rows]) if rows else "no versions"


def requests_table(requests: Sequence[Request]) -> str:
    """One line a request."""
    head = ("request", "version", "state", "by", "expires", "decisions", "why")
    rows = [
        (str(r.id), r.label, r.state, r.requested_by, minute(r.expires), _decided(r), _line(r.why))
        for r in requests
    ]
    return aligned([head, *rows]) if rows else "no requests"


def entries_table(entries: Sequence[Entry]) -> str:
    """One line an entry of the log."""
    head = ("seq", "at", "actor", "act", "version", "moves", "why")
    rows = [(str(e.seq), minute(e.at), e.actor, e.act, e.subject, _moves(e), _line(e.details.get("why", "")))
            for e in entries]  # fmt: skip
    return aligned([head, *rows]) if rows else "the log is empty"


def about_version(version: Version, requests: Sequence[Request]) -> str:
    """All that is known of a version, its digests whole: they are what decisions name."""
    facts = {
        "state": f"{version.state} since {minute(version.changed_at)}",
        "registered": f"{minute(version.registered_at)} by {version.registered_by}",
        "package": version.package,
        "index": version.index or "none",
        "commit": version.commit or "not told",
        "run": version.run or "not told",
        "replaced": version.replaced or "nothing",
    }
    gates = {name: {True: "held", False: "failed", None: "did not apply"}[held] for name, held in
             version.gates.items()}  # fmt: skip
    parts = [
        version.label,
        _indented(facts),
        "digests",
        _indented(version.digests),
        "gates",
        _indented(gates),
        requests_table(requests),
    ]
    return "\n".join(parts)


def _indented(facts: dict[str, str]) -> str:
    return aligned([(f"  {name}", value) for name, value in facts.items()])


def _short(digest: str) -> str:
    return digest[:SHORT]


def _line(why: str) -> str:
    text = " ".join(why.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _decided(request: Request) -> str:
    said = [f"{decision.by}: {'yes' if decision.approve else 'no'}" for decision in request.decisions]
    return ", ".join(said) or "none"


def _moves(entry: Entry) -> str:
    return ", ".join(f"{old} > {new}" for _, old, new in entry.details["moves"]) or "none"
