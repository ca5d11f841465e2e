"""Two limits that threads share: how often requests start, and how many tokens a run may spend."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trace_retriever.errors import TeacherError


class RateLimit:
    """Spaces the starts of requests evenly.

    Args:
        per_minute: most starts in a minute; 0 for no limit.
        stopped: ends all waiting when set.
    """

    def __init__(self, per_minute: float, stopped: threading.Event) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()
        self._stopped = stopped

    def wait(self) -> None:
        """Wait for one's turn."""
        with self._lock:
            turn = max(time.monotonic(), self._next)
            self._next = turn + self._gap
        self._stopped.wait(max(0.0, turn - time.monotonic()))


class BudgetSpentError(TeacherError):
    """The token budget of this run leaves no room for another request."""


class TokenBudget:
    """Tokens that one run may spend, prompts and answers together.

    A request reserves its longest answer before it starts and settles with what it has really used; only the
    prompts of requests under way can go beyond the budget.

    Args:
        tokens: the budget; 0 for none.
    """

    def __init__(self, tokens: int) -> None:
        self._budget = tokens
        self._spent = 0
        self._reserved = 0
        self._free = threading.Condition()

    @property
    def spent(self) -> int:
        """Tokens used so far."""
        return self._spent

    @contextmanager
    def request(self, reserve: int) -> Iterator[list[int]]:
        """Hold a reservation; what is appended to the yielded list is what was used.

        Waits while requests under way hold the rest of the budget.

        Raises:
            BudgetSpentError: there is no room even when none is under way.
        """
        with self._free:
            while self._budget and self._spent + self._reserved + reserve > self._budget:
                if not self._reserved:
                    raise BudgetSpentError(
                        f"{self._spent:,} of {self._budget:,} tokens are spent; "
                        f"the next request may take {reserve:,}",
                        where="teacher.openai.token_budget",
                        remedy="run again to go on where this run stopped, with as many tokens again",
                    )
                self._free.wait()
            self._reserved += reserve
        used: list[int] = []
        try:
            yield used
        finally:
            with self._free:
                self._reserved -= reserve
                self._spent += sum(used)
                self._free.notify_all()
