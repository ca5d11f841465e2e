"""Units of computing for all requests in flight: a forward over prompts or a decoding step at a time.

Two queues. A prompt waits for its turn and for nothing else: its forward decides the route, and a simple
query is answered right there. Rows that reason share the slots; those without one wait in the scheduler. So
what reasons never holds up what does not; `turns.py` has the rule by which the two share the computing.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace

import torch

from trace_retriever.config.serve import MIB, ServeSettings
from trace_retriever.engine.encoded import Reason
from trace_retriever.engine.graphs import GraphedStep
from trace_retriever.engine.plan import batches
from trace_retriever.engine.scheduler import Done, Limits
from trace_retriever.errors import TraceError
from trace_retriever.io.processors import usable_processors
from trace_retriever.model.bundle import TraceModel
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.intake import Intake
from trace_retriever.serving.scheduler import Job, OpenScheduler, refuse
from trace_retriever.serving.turns import Turns
from trace_retriever.serving.warm import warm_up

PADDING = 4.0  # few prompts a turn: another forward costs more than their padding does


def take_processors(settings: ServeSettings) -> None:
    """Tell torch with how many threads it may compute; see `ServeSettings.threads`.

    With as many as there are processors, connections and computing wait for each other.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, usable_processors() - 1))


class Core:
    """Takes jobs from its intake and answers them, in whatever thread `turn` is called, one at a time.

    Args:
        model: the model; nothing else may use it meanwhile.
        settings: bounds of its queues.
    """

    def __init__(self, model: TraceModel, settings: ServeSettings) -> None:
        self.settings = settings
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
        self.intake = Intake(settings, lambda: self.scheduler.crowded)
        self._turns = Turns(settings.step_tokens)

    def warm_up(self) -> None:
        """Compute once what a first request would otherwise wait for.

        Raises:
            CheckpointError: the model's states are not finite.
        """
        warm_up(self.scheduler, self.settings.turn_tokens)

    @property
    def busy(self) -> bool:
        """Whether there is a unit to compute."""
        return bool(self.intake.queued) or self.scheduler.busy

    def turn(self) -> list[Job]:
        """Compute one unit, by whose turn it is.

        Returns:
            The jobs whose prompt's turn it was.
        """
        self.scheduler.leave(lambda job: job.answer.done())
        unit = self._turns.next(prompts=bool(self.intake.queued), rows=self.scheduler.busy)
        if unit == "step":
            _deliver(self.scheduler.step())
        if unit != "prompts":
            return []
        jobs = self.intake.take(self.settings.turn_tokens)
        self._turns.took(sum(len(job.prompt.ids) for job in jobs))
        self._prompts(jobs)
        return jobs

    def fail(self, error: BaseException) -> None:
        """Answer everybody with a fault, and whoever comes later."""
        logging.getLogger(__name__).critical("computing has failed", exc_info=error)
        for job in self.intake.fail(error):
            refuse(job, Broken("computing has failed", remedy="try another replica"))

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
            refuse(job, self.intake.busy("the queue of reasoning rows is full"))


def _deliver(done: Done) -> None:
    for job, encoded in done:
        assert isinstance(job, Job)
        if job.answer.set_running_or_notify_cancel():
            job.answer.set_result(encoded)
