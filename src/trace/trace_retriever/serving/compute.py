"""The process that computes for a server: `python -m trace_retriever.serving.compute FILE_DESCRIPTOR`.

It ends when its line does, and so with the server, however that ends; signals are the server's.
"""

import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.prompts import Prompt
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.pictures import Patches
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.logs import configure_logs
from trace_retriever.serving.scheduler import Job
from trace_retriever.serving.wire import Answer, Ask, Failed, Forget, Line, Load, Ready, Turn, Up
from trace_retriever.serving.worker import Worker

NICE = 5  # where processors are short, connections go first: they need little, and others wait for it


@dataclass(eq=False, kw_only=True)
class Numbered(Job):
    """A job under the number that the server knows it by."""

    number: int


class Core(Worker):
    """A worker whose items come over a line, made ready, and whose answers go back over it.

    A fault ends the line, and so the process: the server is not to wait for what never comes.
    """

    def __init__(self, model: TraceModel, settings: ServeSettings, line: Line) -> None:
        super().__init__(model, settings)
        self._line = line
        self._jobs: dict[int, Numbered] = {}
        self._entered: list[int] = []
        self._told: Turn | None = None

    def listen(self) -> None:
        """Take messages until the end of all."""
        while (message := self._line.receive()) is not None:
            match message:
                case Ask():
                    self._take(message)
                case Forget(number):
                    if job := self._jobs.get(number):
                        job.answer.cancel()

    def _take(self, ask: Ask) -> None:
        patches = None
        if ask.patches is not None:
            assert ask.grid is not None
            patches = Patches(torch.from_numpy(ask.patches), ask.grid)
        prompt = Prompt(ask.ids, None, ask.digest, ask.grid, patches)
        job = Numbered(number=ask.number, prompt=prompt, reason=ask.reason, trace_tokens=ask.trace_tokens)
        self._jobs[ask.number] = job
        job.answer.add_done_callback(lambda answer: self._give(ask.number, answer))
        try:
            self._intake.submit(job)
        except TraceError as error:
            job.answer.set_exception(error)

    def _give(self, number: int, answer: "Future[Encoded]") -> None:
        del self._jobs[number]
        if not answer.cancelled():
            error = answer.exception()
            assert error is None or isinstance(error, Exception)
            self._say(Answer(number, error or answer.result()))

    def _prompts(self, jobs: Sequence[Job]) -> None:
        super()._prompts(jobs)
        self._entered += [job.number for job in jobs if isinstance(job, Numbered)]

    def _turn(self) -> None:
        super()._turn()
        scheduler = self.scheduler
        now = Turn(tuple(self._entered), scheduler.waiting, scheduler.writing, scheduler.crowded)
        if now != self._told:
            self._say(now)
        self._told = now._replace(entered=())
        self._entered.clear()

    def _break(self, error: BaseException) -> None:
        super()._break(error)
        self._say(Failed(Broken("computing has failed")))
        self._line.hang_up()

    def _say(self, message: Up) -> None:
        with suppress(OSError):  # the server is gone, and this process goes too
            self._line.send(message)


def main(descriptor: int) -> int:
    """Compute until the end of the line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

    os.nice(int(os.environ.get("CNICE", "0")))
    configure_logs()
    line = Line(socket.socket(fileno=descriptor))
    how = line.receive()
    if not isinstance(how, Load):
        return 1
    try:
        dtype = getattr(torch, how.dtype)
        core = Core(load_model(Path(how.model), device=how.device, dtype=dtype), how.settings, line)
        core.start()
    except TraceError as error:
        line.send(Failed(error))
        return 1
    # As in the server: a full collection would walk the whole model, and every request would wait.
    gc.collect()
    gc.freeze()
    line.send(Ready())
    core.listen()
    failed = not core.alive
    core.drain(0.0)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
