"""Computing in a process of its own: what Python does for connections never holds up a forward.

In one process both want the interpreter; docs/adr/0016 has what that costs.
"""

import asyncio
import logging
import socket
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.backends.frame import load_frame
from trace_retriever.engine.encoded import Encoded
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.front import Front, Status
from trace_retriever.serving.outlet import Outlet
from trace_retriever.serving.pipe import Pipe
from trace_retriever.serving.scheduler import refuse
from trace_retriever.serving.wire import Answer, Failed, Load, Ready, Turn, packed

COMPUTE = "trace_retriever.serving.compute"
END_SECONDS = 30.0  # for the unit that is being computed


class RemoteWorker(Front):
    """A process of its own computes; it begins to load the model at once.

    Args:
        model: its directory.
        settings: bounds of its queues.
        device, dtype: where the model runs, and the type of its weights by torch's name.

    Raises:
        CheckpointError: see `load_frame`.
    """

    def __init__(
        self, model: Path, settings: ServeSettings, *, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        frame = load_frame(model)
        self._ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", COMPUTE, str(theirs.fileno())]
            passed = (theirs.fileno(),)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=passed)
        for part in packed(Load(str(model), device, dtype, settings)):
            self._ours.sendall(part)
        self._pipe = Pipe(self._hear, self._over)
        self._outlet = Outlet(settings, self._pipe.send)
        self._started: asyncio.Future[None] | None = None
        self._fault: Exception = Broken("the computing process ended", remedy="see what it wrote above")
        super().__init__(frame, settings, self._outlet)

    async def start(self) -> None:
        """Wait until the model is loaded and warm; see `Front.start`.

        Raises:
            CheckpointError: the model cannot be loaded, or its states are not finite.
            Broken: the process ended.
        """
        loop = asyncio.get_running_loop()
        self._started = loop.create_future()
        await loop.create_unix_connection(lambda: self._pipe, sock=self._ours)
        await self._started

    @property
    def alive(self) -> bool:
        """Whether it computes, or would; once false, never true again."""
        started = self._started
        ready = started is not None and started.done() and not started.cancelled()
        return ready and self._outlet.fault is None and self._pipe.open

    def status(self) -> Status:
        """How much it has to do, as of its last turn."""
        turn = self._outlet.turn
        return Status(self._outlet.waiting, turn.reasoning, turn.slots_used, self.settings.slots)

    async def _outcome(self, answer: "Future[Encoded]") -> Encoded:
        """Wait for an answer, which is given in this thread: the event loop need not be woken."""
        given = asyncio.Event()
        answer.add_done_callback(lambda _: given.set())
        await given.wait()
        return answer.result()

    async def _end(self) -> None:
        self._outlet.ended = True
        await self._pipe.close()
        self._ours.close()
        await asyncio.to_thread(self._reap)

    def _reap(self) -> None:
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _hear(self, message: Any) -> None:
        match message:
            case Answer(number, outcome):
                self._outlet.answer(number, outcome)
            case Turn():
                self._outlet.note(message)
            case Ready():
                assert self._started is not None
                if not self._started.done():  # nobody waits for a start that was given up
                    self._started.set_result(None)
            case Failed(error):
                self._fault = error

    def _over(self) -> None:
        """The pipe has ended: nothing is computed any more."""
        assert self._started is not None
        if not self._started.done():
            self._started.set_exception(self._fault)
        elif not self._outlet.ended:
            self._break(self._fault)

    def _break(self, error: Exception) -> None:
        """Answer everybody; from now on, liveness fails."""
        logging.getLogger(__name__).critical("the computing process has failed", exc_info=error)
        for job in self._outlet.fail(error):
            refuse(job, Broken("computing has failed", remedy="try another replica"))
