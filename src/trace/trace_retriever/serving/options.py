"""A request's parameters, checked: unknown ones are refused by name, bounds are those of the settings."""

from collections.abc import Mapping
from typing import Any, get_args

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.serving.errors import BadRequest
from trace_retriever.serving.queries import Options

REASONS = get_args(Reason)
KNOWN = ("reason", "max_trace_tokens", "k", "pool", "deadline_ms")
OF_PROTOCOL = ("binary_data_output", "timeout", "priority")  # the latter two are hints that clients may send


def read_options(parameters: Mapping[str, Any], settings: ServeSettings) -> Options:
    """Read and check.

    Raises:
        BadRequest: an unknown parameter, a wrong type, or a value out of bounds; names all three.
    """
    if unknown := sorted(set(parameters) - {*KNOWN, *OF_PROTOCOL}):
        raise BadRequest(f"unknown parameter {unknown[0]!r}", remedy=f"parameters are {', '.join(KNOWN)}")
    reason = parameters.get("reason", "auto")
    if reason not in REASONS:
        raise BadRequest(
            f"reason {reason!r}", where="parameter reason", remedy=f"one of {', '.join(REASONS)}"
        )
    pool = parameters.get("pool")
    if pool is not None and not (isinstance(pool, str) and pool):
        raise BadRequest(f"pool {pool!r}", where="parameter pool", remedy="name a pool, or leave it out")
    return Options(
        reason=reason,
        max_trace_tokens=_number(parameters, "max_trace_tokens", 1, 1 << 20),
        k=_number(parameters, "k", 0, settings.max_k) or 0,
        pool=pool,
        deadline_ms=_number(parameters, "deadline_ms", 1, settings.max_deadline_ms),
    )


def _number(parameters: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        remedy = f"a whole number from {least} to {most}"
        raise BadRequest(f"{name} {str(value)[:40]!r}", where=f"parameter {name}", remedy=remedy)
    return value
