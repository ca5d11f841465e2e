"""The engine's scheduler for requests that come and go: a bounded queue of rows that wait for a slot.

Rows that wait keep their prompt's keys and values. What other rows of the batch left there is let go at once,
so that a waiting row costs what it needs; beyond the bounds, the newest are handed back to be refused.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch

from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.prefill import Prefilled
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.rows import Row, Ticket
from trace_retriever.engine.scheduler import Done, Limits, Scheduler, Waiting
from trace_retriever.model.bundle import TraceModel


@dataclass(eq=False, kw_only=True)
class Job:
    """One item on its way through the scheduler, as whose ticket it serves.

    Attributes:
        prompt: made ready.
        reason: as for `Engine.encode`.
        trace_tokens: limit of its trace; None takes the scheduler's.
        answer: where the result goes; a cancelled one takes the job out.
    """

    prompt: Prompt
    reason: Reason
    trace_tokens: int | None = None
    answer: "Future[Encoded]" = field(default_factory=Future)

    @property
    def nbytes(self) -> int:
        """Memory of its picture."""
        return 0 if self.prompt.patches is None else self.prompt.patches.values.nbytes


class OpenScheduler(Scheduler):
    """Admits jobs at any time; not for several threads at a time.

    Args:
        model, limits, slots, vision_bytes: as in `Scheduler`.
        waiting, waiting_bytes: bounds of the rows that wait for a slot.
    """

    def __init__(
        self,
        model: TraceModel,
        limits: Limits,
        *,
        slots: int,
        vision_bytes: int,
        waiting: int,
        waiting_bytes: int,
    ) -> None:
        super().__init__(model, limits, slots=slots, vision_bytes=vision_bytes)
        self._most, self._most_bytes = waiting, waiting_bytes

    @property
    def waiting(self) -> int:
        """Rows that wait for a slot."""
        return len(self._waiting)

    @property
    def writing(self) -> int:
        """Rows that have one."""
        return len(self._slots.rows)

    @property
    def crowded(self) -> bool:
        """Whether one more row that reasons would be handed back."""
        return len(self._waiting) >= self._most + self._slots.free

    def enter(self, jobs: Sequence[Job], reason: Reason) -> tuple[Done, list[Job]]:
        """Compute prompts, whatever waits for a slot.

        Args:
            jobs: at least one.
            reason: of all of them.

        Returns:
            The rows that are done at once; and the jobs that would reason and found the queue full.

        Raises:
            CheckpointError: the model's states are not finite.
        """
        before = len(self._waiting)
        done = self.admit(jobs, [job.prompt for job in jobs], reason)
        fresh = [self._waiting.pop() for _ in range(len(self._waiting) - before)][::-1]
        room = self._room(fresh)
        self._keep(fresh[:room])
        return done, [_job(row.ticket) for row, _, _ in fresh[room:]]

    def leave(self, gone: Callable[[Job], bool]) -> None:
        """Take out rows, wherever they are."""
        self._waiting = deque(entry for entry in self._waiting if not gone(_job(entry[0].ticket)))
        slots = [slot for slot, row in enumerate(self._slots.rows) if gone(_job(row.ticket))]
        if slots:
            with torch.inference_mode():
                self._slots.drop(slots)

    def _rows(self, tickets: Sequence[Ticket], start: Prefilled) -> list[Row]:
        rows = super()._rows(tickets, start)
        for row in rows:
            row.limit = min(row.limit, _job(row.ticket).trace_tokens or row.limit)
        return rows

    def _room(self, fresh: Sequence[Waiting]) -> int:
        """How many of the new rows are kept: those that a slot is free for, then up to both bounds."""
        if not fresh:
            return 0
        at_once = max(0, self._slots.free - len(self._waiting))
        held = sum({id(cache): cache.nbytes for _, cache, _ in self._waiting}.values())
        cache = fresh[0][1]
        row_bytes: int = cache.nbytes // cache.shape[2]
        by_bytes = max(0, self._most_bytes - held) // max(1, row_bytes)
        by_count: int = max(0, self._most - max(0, len(self._waiting) - self._slots.free))
        return min(len(fresh), at_once + min(by_bytes, by_count))

    def _keep(self, fresh: Sequence[Waiting]) -> None:
        if not fresh:
            return
        cache = fresh[0][1]
        if len(fresh) < cache.shape[2]:
            with torch.inference_mode():
                cache = cache[:, :, [place for _, _, place in fresh]]
            fresh = [(row, cache, number) for number, (row, _, _) in enumerate(fresh)]
        self._waiting.extend(fresh)


def refuse(job: Job, error: Exception) -> None:
    """Answer a job with an error, if it has no answer and somebody waits for one."""
    if not job.answer.done() and job.answer.set_running_or_notify_cancel():
        job.answer.set_exception(error)


def _job(ticket: Ticket) -> Job:
    assert isinstance(ticket, Job)
    return ticket
