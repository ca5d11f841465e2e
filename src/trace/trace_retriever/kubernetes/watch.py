"""A TrainJob run to its end: created or found, its log shown, removed when done or cancelled."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from trace_retriever.errors import TraceError
from trace_retriever.kubernetes.api import State, TrainJobs
from trace_retriever.kubernetes.lifetime import Cancelled, Owner, cancelled_by_signal


@dataclass
class Watched:
    """A TrainJob that this process runs or watches.

    Attributes:
        jobs: of the namespace.
        name: the job's.
        poll: seconds between looks.
    """

    jobs: TrainJobs
    name: str
    poll: float
    _last: State | None = field(default=None, init=False)

    def run(self, body: Mapping[str, object], owner: Owner | None = None) -> None:
        """Run the job to its end; one that failed earlier, or is being removed, is started again.

        Args:
            body: the job.
            owner: the pod of the pipeline's task. With one, SIGTERM removes the job: that is how a run is
                cancelled. Without one the job runs on, and the same command watches it again.

        Raises:
            TraceError: it failed, with the end of the first machine's log; or somebody removed it.
            Cancelled: SIGTERM, where there is an owner.
        """
        if owner is None:
            self._to_the_end(body)
            return
        with cancelled_by_signal():
            try:
                self._to_the_end(body)
            except Cancelled:
                self._cancel(owner)
                raise

    def _to_the_end(self, body: Mapping[str, object]) -> None:
        earlier = self._look()
        if earlier and earlier.end == "Failed":
            self.jobs.remove(self.name)
        if earlier and (earlier.leaving or earlier.end == "Failed"):
            while self._look() is not None:
                time.sleep(self.poll)
        created = self.jobs.create(dict(body))
        self._say("created" if created else "watched: it runs already")
        said: str | None = None
        shown = ""
        while True:
            state = self._look()
            if state is None:
                raise TraceError(
                    f"TrainJob {self.name} was removed while it ran", remedy="run the same command again"
                )
            if state.message != said:
                said = state.message
                self._say(said or "waits")
            log = self.jobs.log(self.name)
            shown = show_news(log, shown)
            if state.end:
                self._finish(state, log)
                return
            time.sleep(self.poll)

    def _look(self) -> State | None:
        self._last = self.jobs.state(self.name)
        return self._last

    def _cancel(self, owner: Owner) -> None:
        """Remove a job that runs for the owner's pipeline run; another run's is left to it.

        The container has little time left, so the last look is enough: the server compares the job's uid.
        """
        state = self._last if self._last and not self._last.end else self._look()
        if state is not None and not state.end and state.run == owner.run:
            self.jobs.remove(self.name, state.uid)
            self._say("removed, since this task was told to end")

    def _finish(self, state: State, log: str) -> None:
        if state.end == "Failed":  # left there for a person to look at
            raise TraceError(
                f"TrainJob {self.name} failed: {state.message}\n{log.rstrip()}",
                where=f"namespace {self.jobs.namespace}",
                remedy="mend the cause and run the same command: it goes on from the last checkpoint",
            )
        self.jobs.remove(self.name)

    def _say(self, text: str) -> None:
        print(f"TrainJob {self.name}: {text}", file=sys.stderr, flush=True)


def show_news(log: str, shown: str) -> str:
    """Print the lines of a log's end that were not printed before; returns what has been shown now."""
    lines, before = log.splitlines(), shown.splitlines()
    seen = next((n for n in range(len(lines), 0, -1) if lines[:n] == before[-n:]), 0)
    for line in lines[seen:]:
        print(f"  {line}", file=sys.stderr)
    return log or shown
