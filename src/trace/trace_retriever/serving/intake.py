"""The queue of prompts before the thread that computes them."""

from collections import deque
from collections.abc import Callable

from trace_retriever.config.serve import ServeSettings
from trace_retriever.serving.admission import Admission
from trace_retriever.serving.scheduler import Job


class Intake(Admission):
    """Items from their arrival until their prompt's turn.

    Args:
        settings: its bounds.
        crowded: whether one more row that reasons would be refused.
    """

    def __init__(self, settings: ServeSettings, crowded: Callable[[], bool]) -> None:
        super().__init__(settings)
        self._ask_crowded = crowded
        self._queue: deque[Job] = deque()

    @property
    def queued(self) -> int:
        """Prompts that wait for their turn."""
        return len(self._queue)

    @property
    def crowded(self) -> bool:
        """Whether one more row that reasons would be refused."""
        return self._ask_crowded()

    def submit(self, job: Job) -> None:
        """Put a job at the queue's end; see `Admission.submit`."""
        with self._changed:
            self._admit(job)
            self._queue.append(job)
            self._changed.notify_all()
        job.answer.add_done_callback(lambda _: self._forget(job))

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

    def fail(self, error: BaseException) -> list[Job]:
        """Refuse everything from now on; what was not answered."""
        with self._changed:
            self._queue.clear()
            return super().fail(error)
