"""What can go wrong with a request, as a status and in words, for pages and for the REST interface."""

from dataclasses import dataclass
from http import HTTPStatus

from trace_retriever.errors import TraceError
from trace_retriever.registry.errors import Conflict, NotAllowed, NotFound, RegistryError


@dataclass
class Problem(Exception):
    """A refusal that the one who asked may read.

    Attributes:
        status: of HTTP.
        detail: what is wrong, in words.
        remedy: what to do about it.
        retry_after: seconds to wait, where that helps.
    """

    status: int
    detail: str
    remedy: str | None = None
    retry_after: int | None = None

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries beside its body."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def as_json(self) -> dict[str, object]:
        """The members of an `application/problem+json` body (RFC 9457)."""
        body: dict[str, object] = {"type": "about:blank", "title": self.title, "status": self.status}
        return body | {"detail": self.detail} | ({"remedy": self.remedy} if self.remedy else {})


def of_error(error: TraceError) -> Problem:
    """The problem that an error of this package is; where it lies on disk is not told."""
    statuses = ((NotFound, 404), (NotAllowed, 403), (Conflict, 409), (RegistryError, 422))
    status = next((number for kind, number in statuses if isinstance(error, kind)), 500)
    if status == 500:
        return Problem(500, "the server is not set up as it must be", "its log says more")
    return Problem(status, error.problem, error.remedy)
