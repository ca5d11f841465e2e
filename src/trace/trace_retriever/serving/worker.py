"""One thread that computes for all requests in flight, a forward over prompts or a decoding step at a time.

Two queues. A prompt waits for its turn and for nothing else: its forward decides the route, and a simple
query is answered right there. Rows that reason share the slots; those without one wait in the scheduler. So
what reasons never holds up what does not; `turns.py` has the rule by which the two share the thread.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace

from trace_retriever.config.serve import MIB, ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.engine.graphs import GraphedStep
from trace_retriever.engine.plan import batches
from trace_retriever.engine.scheduler import Done, Limits
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import TraceModel
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.front import Front, Status, refuse
from trace_retriever.serving.intake import Intake
from trace_retriever.serving.scheduler import Job, OpenScheduler
from trace_retriever.serving.turns import Turns
from trace_retriever.serving.warm import warm_up

PADDING = 4.0  # few prompts a turn: another forward costs more than their padding does


class Worker(Front):
    """A thread of this process computes.

    Args:
        model: the model; nothing else may use it meanwhile.
        settings: bounds of its queues.
    """

    def __init__(self, model: TraceModel, settings: ServeSettings) -> None:
        self.model = model
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
        self._thread = threading.Thread(target=self._run, name="trace-worker", daemon=True)
        self._intake = Intake(settings, lambda: self.scheduler.crowded)
        super().__init__(model, settings, self._intake)
        self._turns = Turns(settings.turn_forwards)

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
        return self._intake.fault is None and self._thread.is_alive()

    def status(self) -> Status:
        """How much it has to do."""
        scheduler = self.scheduler
        return Status(self._intake.waiting, scheduler.waiting, scheduler.writing, self.settings.slots)

    def _end(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._intake.wait(lambda: self.scheduler.busy):
                self._turn()
        except BaseException as error:  # whatever it is: nobody may be left waiting
            self._break(error)

    def _turn(self) -> None:
        """Compute one unit, by whose turn it is."""
        self.scheduler.leave(lambda job: job.answer.done())
        unit = self._turns.next(prompts=bool(self._intake.queued), rows=self.scheduler.busy)
        if unit == "step":
            _deliver(self.scheduler.step())
        elif unit == "prompts":
            self._prompts(self._intake.take(self.settings.turn_tokens))

    def _prompts(self, jobs: Sequence[Job]) -> None:
        for reason in ("never", "auto", "always"):
            group = [job for job in jobs if job.reason == reason and not job.answer.done()]
            lengths = [len(job.prompt.ids) for job in group]
            for batch in batches(lengths, self.settings.turn_tokens, padding=PADDING):
                self._enter([group[number] for number in batch], reason)

    def _enter(self, jobs: Sequence[Job], reason: Reason) -> None:
        """Compute a batch of prompts; where one of them is at fault, the others do not pay for it."""
        try:
            done, refused = self.scheduler.enter(jobs, reason)
        except TraceError as error:
            if len(jobs) == 1:
                refuse(jobs[0], error)
                return
            for job in jobs:
                self._enter([job], reason)
            return
        for job in jobs:
            job.prompt = replace(job.prompt, patches=None)  # the picture's features are computed
        _deliver(done)
        for job in refused:
            refuse(job, self._intake.busy("the queue of reasoning rows is full"))

    def _break(self, error: BaseException) -> None:
        """Answer everybody; from now on, liveness fails."""
        logging.getLogger(__name__).critical("the computing thread has failed", exc_info=error)
        left = self._intake.fail(error)
        for job in left:
            refuse(job, Broken("computing has failed", remedy="try another replica"))


def _deliver(done: Done) -> None:
    for job, encoded in done:
        assert isinstance(job, Job)
        if job.answer.set_running_or_notify_cancel():
            job.answer.set_result(encoded)
