"""Computing in a thread of the server's own process."""

import asyncio
import threading

from trace_retriever.config.serve import ServeSettings
from trace_retriever.model.bundle import TraceModel
from trace_retriever.serving.core import Core
from trace_retriever.serving.front import Front, Status


class Worker(Front):
    """A thread of this process computes.

    Args:
        model: the model; nothing else may use it meanwhile.
        settings: bounds of its queues.

    Attributes:
        core: what the thread does.
    """

    def __init__(self, model: TraceModel, settings: ServeSettings) -> None:
        self.core = Core(model, settings)
        self._thread = threading.Thread(target=self._run, name="trace-worker", daemon=True)
        super().__init__(model, settings, self.core.intake)

    async def start(self) -> None:
        """Warm up, then take requests; see `Front.start`."""
        await asyncio.to_thread(self.core.warm_up)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it computes, or would; once false, never true again."""
        return self.core.intake.fault is None and self._thread.is_alive()

    def status(self) -> Status:
        """How much it has to do."""
        scheduler = self.core.scheduler
        return Status(self.core.intake.waiting, scheduler.waiting, scheduler.writing, self.settings.slots)

    async def _end(self) -> None:
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while self.core.intake.wait(lambda: self.core.scheduler.busy):
                self.core.turn()
        except BaseException as error:  # whatever it is: nobody may be left waiting
            self.core.fail(error)
