"""What a rollout ends with when it does not end in production."""

from trace_retriever.errors import TraceError


class RolloutError(TraceError):
    """The rollout could not be run: a server does not start, an address does not answer."""


class RolledBack(RolloutError):
    """The rules said no; the champion has all of the traffic again."""

    exit_code = 3


class Unreachable(RolloutError):
    """A side's metrics could not be read this time."""


class ChampionLost(RolloutError):
    """The champion ended, or its metrics did: no fault of the canary, about which nothing is decided."""
