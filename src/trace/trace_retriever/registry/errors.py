"""What the registry refuses, by the reason: a fault, a missing right, a state that moved on."""

from trace_retriever.errors import TraceError


class RegistryError(TraceError):
    """The registry cannot do what was asked: no such version, changed files, a log that does not verify."""


class NotFound(RegistryError):
    """There is no version or request of that name."""


class NotAllowed(RegistryError):
    """The rules say no: a role is missing, four eyes, a gate that does not hold."""

    exit_code = 3


class Conflict(RegistryError):
    """The state moved on: decided by someone else, expired, or the evidence is not what was seen."""
