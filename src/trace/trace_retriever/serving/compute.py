"""The process that computes for a server: `python -m trace_retriever.serving.compute FILE_DESCRIPTOR`.

It ends when its line does, and so with the server, however that ends; signals are the server's. It has one
thread: between two units it looks what has come.
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

from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.prompts import Prompt
from trace_retriever.errors import TraceError
from trace_retriever.model.bundle import load_model
from trace_retriever.model.pictures import Patches
from trace_retriever.serving.core import Core, take_processors
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.logs import configure_logs
from trace_retriever.serving.scheduler import Job
from trace_retriever.serving.wire import Answer, Ask, Failed, Forget, Line, Load, Ready, Turn, Up

NICE = 5  # where processors are short, connections go first: they need little, and others wait for it


@dataclass(eq=False, kw_only=True)
class Numbered(Job):
    """A job under the number that the server knows it by."""

    number: int


class Backend:
    """Computes what comes over a line, made ready, and sends answers back over it.

    A fault ends the line, and so the process: the server is not to wait for what never comes.

    Args:
        core: what computes; warm.
        line: to the server.
    """

    def __init__(self, core: Core, line: Line) -> None:
        self._core, self._line = core, line
        self._jobs: dict[int, Numbered] = {}
        self._told = Turn((), 0, 0, False)
        self._unsent: list[Up] = []

    def run(self) -> bool:
        """Compute until the end of the line; whether that was all that ended."""
        try:
            while (messages := self._line.receive(wait=not self._core.busy)) is not None:
                for message in messages:
                    self._hear(message)
                self._tell(self._core.turn())
                self._flush()
        except BaseException as error:  # whatever it is: nobody may be left waiting
            self._core.fail(error)
            self._unsent.append(Failed(Broken("computing has failed")))
            self._flush()
            self._line.hang_up()
            return False
        return True

    def _hear(self, message: Ask | Forget) -> None:
        if isinstance(message, Ask):
            self._take(message)
        elif job := self._jobs.get(message.number):
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
            self._core.intake.submit(job)
        except TraceError as error:
            job.answer.set_exception(error)

    def _give(self, number: int, answer: "Future[Encoded]") -> None:
        del self._jobs[number]
        if not answer.cancelled():
            error = answer.exception()
            assert error is None or isinstance(error, Exception)
            self._unsent.append(Answer(number, error or answer.result()))

    def _tell(self, entered: Sequence[Job]) -> None:
        """Tell how things stand, if the server does not know."""
        numbers = tuple(job.number for job in entered if isinstance(job, Numbered))
        scheduler = self._core.scheduler
        now = Turn(numbers, scheduler.waiting, scheduler.writing, scheduler.crowded)
        if now != self._told:
            self._unsent.append(now)
        self._told = now._replace(entered=())

    def _flush(self) -> None:
        """Send what a unit brought in one go: each time, the server wakes up."""
        if self._unsent:
            with suppress(OSError):  # the server is gone, and this process goes too
                self._line.send(*self._unsent)
            self._unsent.clear()


def main(descriptor: int) -> int:
    """Compute until the end of the line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICE)
    configure_logs()
    line = Line(socket.socket(fileno=descriptor))
    first, *_ = line.receive(wait=True) or [None]
    if not isinstance(first, Load):
        return 1
    try:
        take_processors(first.settings)
        dtype = getattr(torch, first.dtype)
        core = Core(load_model(Path(first.model), device=first.device, dtype=dtype), first.settings)
        core.warm_up()
    except TraceError as error:
        line.send(Failed(error))
        return 1
    # As in the server: a full collection would walk the whole model, and every request would wait.
    gc.collect()
    gc.freeze()
    line.send(Ready())
    return int(not Backend(core, line).run())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
