"""What a TrainJob belongs to: the pod of the task that started it, and the pipeline's run.

Two things end it when a run is cancelled: the task's process removes it when it is told to end, and where the
process had no time for that, the cluster collects it with the pod that owns it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

POD_NAME, POD_UID, RUN = "TRACE_POD_NAME", "TRACE_POD_UID", "TRACE_RUN"
# Runs with the same params and inputs share a TrainJob: only the run that started it may take it away.
RUN_ANNOTATION = "trace.retriever/run"


@dataclass(frozen=True)
class Owner:
    """The pod that a TrainJob belongs to.

    Attributes:
        name, uid: of the pod, in the TrainJob's namespace.
        run: the pipeline's run that the pod is of.
    """

    name: str
    uid: str
    run: str = ""

    @classmethod
    def from_environment(cls) -> "Owner | None":
        """The pod of this process; None where its settings did not name it."""
        name, uid = os.environ.get(POD_NAME), os.environ.get(POD_UID)
        return cls(name, uid, os.environ.get(RUN, "")) if name and uid else None

    def metadata(self) -> dict[str, Any]:
        """What the owned object has in its metadata.

        It does not have the pod wait for the object (`blockOwnerDeletion`): that would take one more right.
        """
        pod = {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}
        return {"ownerReferences": [pod], "annotations": {RUN_ANNOTATION: self.run}}


class Cancelled(KeyboardInterrupt):
    """This process was told to end."""


@contextmanager
def cancelled_by_signal() -> Iterator[None]:
    """Within the block, SIGTERM raises `Cancelled`; outside the main thread nothing changes."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the removal is not to be broken off by a second one
        raise Cancelled(f"told to end by {signal.Signals(number).name}")

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: the signal is not ours to handle
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
