"""The way of an item from its request to its embedding, wherever that is computed."""

import asyncio
import time
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.prompts import Prompt
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.serving.admission import Admission
from trace_retriever.serving.errors import DeadlineExceeded, Stopping
from trace_retriever.serving.prepare import Source, prepare, quick
from trace_retriever.serving.scheduler import Job, refuse


@dataclass(frozen=True)
class Status:
    """What there is to do: items before their prompt's turn, rows that wait for a slot, slots."""

    prompts: int
    reasoning: int
    slots_used: int
    slots: int


class Front(ABC):
    """Encodes items for many requests at a time, in the event loop that it was started in.

    Args:
        frame: the model, whose network need not be here: tokenizer, picture reader and settings are wanted.
        settings: bounds of the queues.
        admission: what computes takes its jobs from here.
    """

    def __init__(self, frame: TraceModel, settings: ServeSettings, admission: Admission) -> None:
        self.frame, self.settings = frame, settings
        self._admission = admission
        self._pool = ThreadPoolExecutor(settings.image_workers, thread_name_prefix="trace-pictures")

    @abstractmethod
    async def start(self) -> None:
        """Warm up, then take requests.

        Raises:
            CheckpointError: the model cannot be loaded, or its states are not finite.
        """

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it computes, or would; once false, never true again."""

    @abstractmethod
    def status(self) -> Status:
        """How much it has to do."""

    @abstractmethod
    async def _end(self) -> None:
        """End what computes, for good."""

    @property
    def ready(self) -> bool:
        """Whether it takes new items."""
        return self.alive and self._admission.open

    @property
    def full(self) -> bool:
        """Whether another item would be refused now."""
        return self._admission.full

    async def encode(
        self,
        item: Source,
        *,
        reason: Reason = "auto",
        max_trace_tokens: int | None = None,
        deadline: float | None = None,
    ) -> Encoded:
        """Encode one item; the same vector, within rounding, whatever is computed beside it.

        Cancelling the call takes its row out.

        Args:
            item: the item, or what makes it.
            reason: as for `Engine.encode`.
            max_trace_tokens: limit of the trace; None takes the server's, which is never passed.
            deadline: time (`time.monotonic`) until which an answer is of use; None takes the settings'.

        Raises:
            Busy: a queue is full, or the server is stopping (`Stopping`).
            DeadlineExceeded: no answer in time.
            Broken: computing has failed.
            ImageError: the picture is broken or too large; and what `item` raises.
        """
        left = self.settings.deadline_ms / 1000 if deadline is None else deadline - time.monotonic()
        answer: Future[Encoded] = Future()
        try:
            async with asyncio.timeout(left):
                with self._admission.place(reason):
                    prompt = await self._prompt(item)
                    job = Job(prompt=prompt, reason=reason, trace_tokens=max_trace_tokens, answer=answer)
                    self._admission.submit(job)
                return await self._outcome(answer)
        except TimeoutError:
            raise DeadlineExceeded("no answer in time", remedy="allow more time, or fewer tokens") from None
        finally:
            answer.cancel()

    async def drain(self, seconds: float) -> bool:
        """Take nothing new, finish what is there, end.

        Args:
            seconds: after which what is not done is refused.

        Returns:
            Whether all was done in time.
        """
        done, left = await asyncio.to_thread(self._admission.close, seconds)
        for job in left:
            refuse(job, Stopping("the server stops", retry_after=self.settings.retry_after))
        await self._end()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        return done

    async def _outcome(self, answer: "Future[Encoded]") -> Encoded:
        """Wait for an answer, which any thread may give."""
        return await asyncio.wrap_future(answer)

    async def _prompt(self, item: Source) -> Prompt:
        """An item made ready: what is quick here and now, the rest by a thread."""
        if isinstance(item, Item) and quick(item):
            return prepare(self.frame, item)
        return await asyncio.get_running_loop().run_in_executor(self._pool, prepare, self.frame, item)
