"""One thread that computes for all requests in flight: a decoding step, then the prompts that came meanwhile.

Two queues. A prompt waits for the next turn and for nothing else: its forward decides the route, and a simple
query is answered right there. Rows that reason share the slots; those without one wait in the scheduler. So
what reasons never holds up what does not, and a turn's prompts are bounded so that traces go on.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from trace_retriever.config.serve import MIB, ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.graphs import GraphedStep
from trace_retriever.engine.plan import batches
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.scheduler import Done, Limits
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.serving.errors import Broken, Busy, DeadlineExceeded, Stopping
from trace_retriever.serving.scheduler import Job, OpenScheduler
from trace_retriever.serving.warm import warm_up

PADDING = 4.0  # few prompts a turn: another forward costs more than their padding does
Source = Item | Callable[[], Item]  # the latter is called by a thread that decodes pictures


@dataclass(frozen=True)
class Status:
    """What a worker has to do: items before their prompt's turn, rows that wait for a slot, slots."""

    prompts: int
    reasoning: int
    slots_used: int
    slots: int


class Worker:
    """Encodes items for many requests at a time; its methods may be called from any thread and loop.

    Args:
        model: the model; nothing else may use it meanwhile.
        settings: bounds of its queues.
    """

    def __init__(self, model: TraceModel, settings: ServeSettings) -> None:
        self.model, self.settings = model, settings
        limits = Limits(
            trace_tokens=settings.max_trace_tokens or model.settings.max_trace_tokens,
            route_threshold=model.settings.route_threshold,
        )
        self.scheduler = OpenScheduler(
            model,
            limits,
            slots=settings.slots,
            vision_bytes=settings.vision_mib * MIB,
            waiting=settings.max_reasoning,
            waiting_bytes=settings.max_reasoning_mib * MIB,
        )
        if model.device.type == "cuda":
            self.scheduler.graph(GraphedStep(self.scheduler.language))
        self._pool = ThreadPoolExecutor(settings.image_workers, thread_name_prefix="trace-pictures")
        self._thread = threading.Thread(target=self._run, name="trace-worker", daemon=True)
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._live: set[Job] = set()  # submitted, and not answered
        self._preparing = 0
        self._closed = self._ending = False
        self._fault: BaseException | None = None

    def start(self) -> None:
        """Warm up, then take requests.

        Raises:
            CheckpointError: the model's states are not finite.
        """
        warm_up(self.scheduler, self.settings.turn_tokens)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it computes, or would; once false, never true again."""
        return self._fault is None and self._thread.is_alive()

    @property
    def ready(self) -> bool:
        """Whether it takes new items."""
        return self.alive and not self._closed

    def status(self) -> Status:
        """How much it has to do."""
        scheduler = self.scheduler
        prompts = self._preparing + len(self._queue)
        return Status(prompts, scheduler.waiting, scheduler.writing, self.settings.slots)

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
            Busy: a queue is full, or the worker is stopping (`Stopping`).
            DeadlineExceeded: no answer in time.
            Broken: the computing thread has failed.
            ImageError: the picture is broken or too large; and what `item` raises.
        """
        left = self.settings.deadline_ms / 1000 if deadline is None else deadline - time.monotonic()
        try:
            async with asyncio.timeout(left):
                with self._place(reason):
                    loop = asyncio.get_running_loop()
                    prompt = await loop.run_in_executor(self._pool, self._prepare, item)
                    job = Job(prompt=prompt, reason=reason, trace_tokens=max_trace_tokens)
                    self._submit(job)
                return await asyncio.wrap_future(job.answer)
        except TimeoutError:
            raise DeadlineExceeded("no answer in time", remedy="allow more time, or fewer tokens") from None

    def drain(self, timeout: float) -> bool:
        """Take nothing new, finish what is there, end the thread; blocks.

        Args:
            timeout: seconds, after which what is not done is refused.

        Returns:
            Whether all was done in time.
        """
        until = time.monotonic() + timeout
        with self._changed:
            self._closed = True
            done = self._changed.wait_for(
                lambda: self._fault is not None or not (self._live or self._preparing),
                max(0.0, until - time.monotonic()),
            )
            left = list(self._live)
            self._ending = True
            self._changed.notify_all()
        for job in left:
            _refuse(job, Stopping("the server stops", retry_after=self.settings.retry_after))
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        return done

    @contextmanager
    def _place(self, reason: Reason) -> Iterator[None]:
        """A place among the items that are made ready; refused at once where it would wait too long."""
        with self._changed:
            self._check_open()
            if self._preparing + len(self._queue) >= self.settings.max_waiting:
                raise self._busy("the queue of prompts is full")
            if reason == "always" and self.scheduler.crowded:
                raise self._busy("the queue of reasoning rows is full")
            self._preparing += 1
        try:
            yield
        finally:
            with self._changed:
                self._preparing -= 1
                self._changed.notify_all()

    def _check_open(self) -> None:
        if self._fault is not None:
            raise Broken(
                "the computing thread has failed", remedy="see the server's log; it is to be replaced"
            )
        if self._ending or self._closed:
            raise Stopping("the server stops", retry_after=self.settings.retry_after)

    def _busy(self, problem: str) -> Busy:
        return Busy(problem, retry_after=self.settings.retry_after)

    def _prepare(self, item: Source) -> Prompt:
        """Decode, cut and tokenise; only the patches of a picture outlive this."""
        made = item if isinstance(item, Item) else item()
        model, limit = self.model, self.model.settings.max_prompt_tokens
        if made.image is None:
            return Prompt(model.prompter.ids(made.text, 0, limit))
        identity = model.pictures.identify(made.image)
        patches = model.pictures.read(made.image, remember=False)
        ids = model.prompter.ids(made.text, model.pictures.spec.tokens(identity.grid), limit)
        return Prompt(ids, None, identity.digest, identity.grid, patches)

    def _submit(self, job: Job) -> None:
        job.answer.add_done_callback(lambda _: self._forget(job))
        with self._changed:
            if self._fault is not None or self._ending:
                self._check_open()
            if sum(one.nbytes for one in self._queue) + job.nbytes > self.settings.max_waiting_mib * MIB:
                raise self._busy("the pictures that wait fill their memory")
            self._live.add(job)
            self._queue.append(job)
            self._changed.notify_all()

    def _forget(self, job: Job) -> None:
        with self._changed:
            self._live.discard(job)
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            while (jobs := self._next()) is not None:
                self._turn(jobs)
        except BaseException as error:  # whatever it is: nobody may be left waiting
            self._break(error)

    def _next(self) -> list[Job] | None:
        """The prompts of a turn, oldest first; waits if there is nothing to do at all; None at the end."""
        with self._changed:
            while not self._queue and not self.scheduler.busy and not self._ending:
                self._changed.wait()
            if self._ending:
                return None
            jobs: list[Job] = []
            tokens = 0
            while self._queue:
                tokens += len(self._queue[0].prompt.ids)
                if jobs and tokens > self.settings.turn_tokens:
                    break
                jobs.append(self._queue.popleft())
            return jobs

    def _turn(self, jobs: Sequence[Job]) -> None:
        self.scheduler.leave(lambda job: job.answer.done())
        for reason in ("never", "auto", "always"):
            group = [job for job in jobs if job.reason == reason and not job.answer.done()]
            lengths = [len(job.prompt.ids) for job in group]
            for batch in batches(lengths, self.settings.turn_tokens, padding=PADDING):
                self._enter([group[number] for number in batch], reason)
        _deliver(self.scheduler.step())

    def _enter(self, jobs: Sequence[Job], reason: Reason) -> None:
        """Compute a batch of prompts; where one of them is at fault, the others do not pay for it."""
        try:
            done, refused = self.scheduler.enter(jobs, reason)
        except TraceError as error:
            if len(jobs) == 1:
                _refuse(jobs[0], error)
                return
            for job in jobs:
                self._enter([job], reason)
            return
        _deliver(done)
        for job in refused:
            _refuse(job, self._busy("the queue of reasoning rows is full"))

    def _break(self, error: BaseException) -> None:
        """Answer everybody; from now on, liveness fails."""
        import logging

        logging.getLogger(__name__).critical("the computing thread has failed", exc_info=error)
        with self._changed:
            self._fault = error
            left = list(self._live)
            self._queue.clear()
            self._changed.notify_all()
        for job in left:
            _refuse(job, Broken("the computing thread has failed", remedy="try another replica"))


def _deliver(done: Done) -> None:
    for job, encoded in done:
        assert isinstance(job, Job)
        if job.answer.set_running_or_notify_cancel():
            job.answer.set_result(encoded)


def _refuse(job: Job, error: Exception) -> None:
    if not job.answer.done() and job.answer.set_running_or_notify_cancel():
        job.answer.set_exception(error)
