"""What the page says when it cannot answer: a problem in words, what to do, and the HTTP status."""

from http import HTTPStatus

from trace_retriever.errors import TraceError


class NoAnswer(TraceError):
    """What was asked cannot be answered as it is; the page shows it above the form.

    Args:
        problem: what is wrong, in a visitor's words.
        status: of the HTTP answer.
        remedy: what the visitor can do.
    """

    def __init__(
        self, problem: str, *, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY, remedy: str | None = None
    ) -> None:
        super().__init__(problem, remedy=remedy)
        self.status = status
