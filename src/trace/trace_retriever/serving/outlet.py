"""The queue of prompts where it stands in another process: who has no answer, by numbers."""

from collections.abc import Callable
from itertools import count

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded
from trace_retriever.serving.admission import Admission
from trace_retriever.serving.scheduler import Job, refuse
from trace_retriever.serving.wire import Ask, Down, Forget, Turn

IDLE = Turn((), 0, 0, False)


class Outlet(Admission):
    """Sends jobs to the process that computes; not for several threads.

    Args:
        settings: its bounds.
        send: sends a message, and does not wait.

    Attributes:
        turn: how things stood after the other process' last turn.
        ended: whether the line is to end.
    """

    def __init__(self, settings: ServeSettings, send: Callable[[Down], None]) -> None:
        super().__init__(settings)
        self._send = send
        self._numbers = count()
        self._jobs: dict[int, Job] = {}
        self._bytes: dict[int, int] = {}  # of prompts whose turn has not come
        self.turn = IDLE
        self.ended = False

    @property
    def queued(self) -> int:
        """Prompts that wait for their turn."""
        return len(self._bytes)

    @property
    def crowded(self) -> bool:
        """Whether one more row that reasons would be refused, as of the last turn."""
        return self.turn.crowded

    def submit(self, job: Job) -> None:
        """Send a job over; see `Admission.submit`."""
        with self._changed:
            self._admit(job)
        number = next(self._numbers)
        self._jobs[number], self._bytes[number] = job, job.nbytes
        prompt = job.prompt
        patches = None if prompt.patches is None else prompt.patches.values.numpy()
        self._send(Ask(number, prompt.ids, prompt.digest, prompt.grid, patches, job.reason, job.trace_tokens))
        job.answer.add_done_callback(lambda answer: self._done(number, cancelled=answer.cancelled()))

    def answer(self, number: int, outcome: Encoded | Exception) -> None:
        """What a prompt became."""
        job = self._jobs.get(number)
        if job is None:  # nobody waited
            return
        if isinstance(outcome, Exception):
            refuse(job, outcome)
        elif job.answer.set_running_or_notify_cancel():
            job.answer.set_result(outcome)

    def note(self, turn: Turn) -> None:
        """What the other process' turn changed."""
        self.turn = turn
        for number in turn.entered:
            self._leave(number)

    def _done(self, number: int, *, cancelled: bool) -> None:
        self._leave(number)
        self._forget(self._jobs.pop(number))
        if cancelled and self.fault is None and not self.ended:
            self._send(Forget(number))

    def _leave(self, number: int) -> None:
        """A prompt waits no more."""
        self._nbytes -= self._bytes.pop(number, 0)
