"""Who is let in: places for items that are made ready or wait, bounds on them, and who has no answer yet."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from trace_retriever.config.serve import MIB, ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.serving.errors import Broken, Busy, Stopping
from trace_retriever.serving.scheduler import Job


class Admission(ABC):
    """Bounds on what waits for its prompt's turn; methods may be called from any thread.

    Args:
        settings: its bounds.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        self._changed = threading.Condition()
        self._live: set[Job] = set()  # submitted, and not answered
        self._nbytes = self._preparing = 0
        self._closed = self._ended = False
        self._fault: BaseException | None = None

    @property
    @abstractmethod
    def queued(self) -> int:
        """Prompts that wait for their turn."""

    @property
    @abstractmethod
    def crowded(self) -> bool:
        """Whether one more row that reasons would be refused."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Put a job at the queue's end; one that nobody waits for any more is left out.

        Raises:
            Busy, Broken: as `Front.encode`.
        """

    @property
    def open(self) -> bool:
        """Whether new items are taken."""
        return not self._closed

    @property
    def fault(self) -> BaseException | None:
        """Why computing has failed, if it has."""
        return self._fault

    @property
    def waiting(self) -> int:
        """Items that are made ready, or wait for their turn."""
        return self._preparing + self.queued

    @property
    def full(self) -> bool:
        """Whether as many of them are there as may be."""
        return self.waiting >= self._settings.max_waiting

    @property
    def unanswered(self) -> int:
        """Jobs that were submitted and have no answer."""
        return len(self._live)

    @contextmanager
    def place(self, reason: Reason) -> Iterator[None]:
        """A place among the items that are made ready; refused at once where it would wait too long.

        Raises:
            Busy, Broken: as `Front.encode`.
        """
        with self._changed:
            self._check(self._closed)
            if self.full:
                raise self.busy("the queue of prompts is full")
            if reason == "always" and self.crowded:
                raise self.busy("the queue of reasoning rows is full")
            self._preparing += 1
        try:
            yield
        finally:
            with self._changed:
                self._preparing -= 1
                self._changed.notify_all()

    def busy(self, problem: str) -> Busy:
        """The refusal of an item."""
        return Busy(problem, retry_after=self._settings.retry_after)

    def close(self, timeout: float) -> tuple[bool, list[Job]]:
        """Take nothing new, wait for what is there, end; blocks.

        Args:
            timeout: seconds to wait.

        Returns:
            Whether all was answered in time; and what was not.
        """
        until = time.monotonic() + timeout
        with self._changed:
            self._closed = True
            done = self._changed.wait_for(
                lambda: self._fault is not None or not (self._live or self._preparing),
                max(0.0, until - time.monotonic()),
            )
            self._ended = True
            self._changed.notify_all()
            return done, list(self._live)

    def fail(self, error: BaseException) -> list[Job]:
        """Refuse everything from now on; what was not answered."""
        with self._changed:
            self._fault = error
            self._changed.notify_all()
            return list(self._live)

    def _admit(self, job: Job) -> None:
        """Note a job, with the lock held."""
        self._check(self._ended)
        if self._nbytes + job.nbytes > self._settings.max_waiting_mib * MIB:
            raise self.busy("the pictures that wait fill their memory")
        self._live.add(job)
        self._nbytes += job.nbytes

    def _check(self, stopping: bool) -> None:
        if self._fault is not None:
            raise Broken("computing has failed", remedy="see the server's log; it is to be replaced")
        if stopping:
            raise Stopping("the server stops", retry_after=self._settings.retry_after)

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._live.discard(job)
            self._changed.notify_all()
