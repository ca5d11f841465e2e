"""Why a request was not answered: each kind has its own status on the wire."""

from trace_retriever.errors import TraceError


class BadRequest(TraceError):
    """The request is malformed or out of bounds; the client has to change it (400, INVALID_ARGUMENT)."""


class TooLarge(BadRequest):
    """The body, or a part of it, is larger than this server takes (413)."""


class Busy(TraceError):
    """The server is full or about to stop (503 with Retry-After, RESOURCE_EXHAUSTED).

    Args:
        problem: which queue is full.
        retry_after: seconds after which to try again.
    """

    def __init__(self, problem: str, *, retry_after: int = 1) -> None:
        super().__init__(problem, remedy=f"try again in {retry_after} s, or at another replica")
        self.retry_after = retry_after


class Stopping(Busy):
    """The server finishes what it has and takes nothing new (503, UNAVAILABLE)."""


class DeadlineExceeded(TraceError):
    """The request's time was over before its answer (504, DEADLINE_EXCEEDED)."""


class Broken(TraceError):
    """What computes has failed; liveness fails too, so that the server is replaced (500)."""


class SwapRefused(TraceError):
    """The index found on disk does not belong to this model or is not whole; the old one stays (409)."""
