"""Items from their arrival until their prompt's turn: places, bounds on them, and who has no answer yet."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trace_retriever.config.serve import MIB, ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.serving.errors import Broken, Busy, Stopping
from trace_retriever.serving.scheduler import Job


class Intake:
    """The queue of prompts; its methods may be called from any thread.

    Args:
        settings: its bounds.
        crowded: whether one more row that reasons would be refused.
    """

    def __init__(self, settings: ServeSettings, crowded: Callable[[], bool]) -> None:
        self._settings, self._crowded = settings, crowded
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._live: set[Job] = set()  # submitted, and not answered
        self._nbytes = self._preparing = 0
        self._closed = self._ended = False
        self._fault: BaseException | None = None

    @property
    def open(self) -> bool:
        """Whether new items are taken."""
        return not self._closed

    @property
    def fault(self) -> BaseException | None:
        """Why the computing thread has failed, if it has."""
        return self._fault

    @property
    def waiting(self) -> int:
        """Items that are made ready, or wait for their turn."""
        return self._preparing + len(self._queue)

    @property
    def queued(self) -> bool:
        """Whether a prompt waits for its turn."""
        return bool(self._queue)

    @property
    def unanswered(self) -> int:
        """Jobs that were submitted and have no answer."""
        return len(self._live)

    @contextmanager
    def place(self, reason: Reason) -> Iterator[None]:
        """A place among the items that are made ready; refused at once where it would wait too long.

        Raises:
            Busy, Broken: as `Worker.encode`.
        """
        with self._changed:
            self._check(self._closed)
            if self.waiting >= self._settings.max_waiting:
                raise self.busy("the queue of prompts is full")
            if reason == "always" and self._crowded():
                raise self.busy("the queue of reasoning rows is full")
            self._preparing += 1
        try:
            yield
        finally:
            with self._changed:
                self._preparing -= 1
                self._changed.notify_all()

    def submit(self, job: Job) -> None:
        """Put a job at the queue's end.

        Raises:
            Busy, Broken: as `Worker.encode`.
        """
        job.answer.add_done_callback(lambda _: self._forget(job))
        with self._changed:
            self._check(self._ended)
            if self._nbytes + job.nbytes > self._settings.max_waiting_mib * MIB:
                raise self.busy("the pictures that wait fill their memory")
            self._live.add(job)
            self._queue.append(job)
            self._nbytes += job.nbytes
            self._changed.notify_all()

    def wait(self, busy: Callable[[], bool]) -> bool:
        """Wait for something to do.

        Args:
            busy: whether there is, even if no prompt waits.

        Returns:
            Whether to go on; false at the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ended or busy())
            return not self._ended

    def take(self, tokens: int) -> list[Job]:
        """The oldest jobs: one, and more up to so many tokens of prompts."""
        jobs: list[Job] = []
        with self._changed:
            while self._queue and (not jobs or len(self._queue[0].prompt.ids) <= tokens):
                jobs.append(self._queue.popleft())
                tokens -= len(jobs[-1].prompt.ids)
                self._nbytes -= jobs[-1].nbytes
        return jobs

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
            self._queue.clear()
            self._changed.notify_all()
            return list(self._live)

    def _check(self, stopping: bool) -> None:
        if self._fault is not None:
            raise Broken(
                "the computing thread has failed", remedy="see the server's log; it is to be replaced"
            )
        if stopping:
            raise Stopping("the server stops", retry_after=self._settings.retry_after)

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._live.discard(job)
            self._changed.notify_all()
