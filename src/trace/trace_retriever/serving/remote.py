"""Computing in a process of its own: what Python does for connections never holds up a forward.

In one process both want the interpreter: with a model of a million parameters, a third of the time of the
thread that computes was spent waiting for it.
"""

import logging
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.backends.frame import load_frame
from trace_retriever.engine.encoded import Encoded
from trace_retriever.serving.admission import Admission
from trace_retriever.serving.errors import Broken
from trace_retriever.serving.front import Front, Status, refuse
from trace_retriever.serving.scheduler import Job
from trace_retriever.serving.wire import Answer, Ask, Failed, Forget, Line, Load, Ready, Turn

COMPUTE = "trace_retriever.serving.compute"
END_SECONDS = 30.0  # for the unit that is being computed
IDLE = Turn((), 0, 0, False)


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
        ours, theirs = socket.socketpair()
        with theirs:
            self._line = Line(ours)
            command = [sys.executable, "-P", "-m", COMPUTE, str(theirs.fileno())]
            passed = (theirs.fileno(),)
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=passed)
        self._outlet = Outlet(settings, self._line)
        super().__init__(frame, settings, self._outlet)
        self._thread = threading.Thread(target=self._listen, name="trace-answers", daemon=True)
        self._line.send(Load(str(model), device, dtype, settings))

    def start(self) -> None:
        """Wait until the model is loaded and warm; see `Front.start`.

        Raises:
            CheckpointError: the model cannot be loaded, or its states are not finite.
            Broken: the process ended.
        """
        match self._line.receive():
            case Ready():
                self._thread.start()
            case Failed(error):
                raise error
            case _:
                code = self.process.wait(END_SECONDS)
                raise Broken(f"the computing process ended with {code}", remedy="see what it wrote above")

    @property
    def alive(self) -> bool:
        """Whether it computes, or would; once false, never true again."""
        return self._outlet.fault is None and self._thread.is_alive()

    def status(self) -> Status:
        """How much it has to do, as of its last turn."""
        turn = self._outlet.turn
        return Status(self._outlet.waiting, turn.reasoning, turn.slots_used, self.settings.slots)

    def _end(self) -> None:
        self._outlet.ended = True
        self._line.hang_up()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._thread.ident is not None:
            self._thread.join()
        self._line.close()

    def _listen(self) -> None:
        fault: Exception | None = None
        while (message := self._line.receive()) is not None:
            match message:
                case Answer(number, outcome):
                    self._outlet.answer(number, outcome)
                case Turn():
                    self._outlet.note(message)
                case Failed(error):
                    fault = error
        if not self._outlet.ended:
            self._break(fault or Broken("the computing process has ended"))

    def _break(self, error: Exception) -> None:
        """Answer everybody; from now on, liveness fails."""
        logging.getLogger(__name__).critical("the computing process has failed", exc_info=error)
        for job in self._outlet.fail(error):
            refuse(job, Broken("computing has failed", remedy="try another replica"))


class Outlet(Admission):
    """The queue of prompts, which stands in the other process; here it is known by numbers.

    Attributes:
        turn: how things stood after the other process' last turn.
        ended: whether the line is to end.
    """

    def __init__(self, settings: ServeSettings, line: Line) -> None:
        super().__init__(settings)
        self._line = line
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
        try:
            self._line.send(
                Ask(number, prompt.ids, prompt.digest, prompt.grid, patches, job.reason, job.trace_tokens)
            )
        except OSError:
            refuse(job, Broken("computing has failed", remedy="try another replica"))
        # Only now: what is forgotten must have been sent before.
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
        with self._changed:
            for number in turn.entered:
                self._leave(number)

    def _done(self, number: int, *, cancelled: bool) -> None:
        with self._changed:
            job = self._jobs.pop(number)
            self._leave(number)
        self._forget(job)
        if cancelled:
            with suppress(OSError):  # it has ended
                self._line.send(Forget(number))

    def _leave(self, number: int) -> None:
        """A prompt waits no more, with the lock held."""
        self._nbytes -= self._bytes.pop(number, 0)
