"""What the tasks of a run did, noted by each as it goes: the exit handler can read no task's outputs.

One JSON file a task below `<ledger>/<run>/`, in a folder or in an object store (any fsspec address).
"""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trace_retriever.errors import DataError, Refused, TraceError

LEDGER, RUN, COMMIT = "TRACE_LEDGER", "TRACE_RUN", "TRACE_COMMIT"
STATES = ("running", "done", "refused", "failed")


@dataclass
class Entry:
    """One task: filled while it runs.

    Attributes:
        step: its step, and `fields`, what sets it apart from other tasks of that step.
        state: one of `STATES`.
        problem: why it failed or refused.
        config: the step's whole section.
        metrics: the step's figures.
        outputs: name → digest.
        place: where the output lies.
        started, seconds: when, and how long.
    """

    step: str
    fields: dict[str, str] = field(default_factory=dict)
    state: str = "running"
    problem: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    place: str = ""
    commit: str = ""
    started: float = field(default_factory=time.time)
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The step and what sets it apart, for people."""
        return " ".join((self.step, *self.fields.values()))


@dataclass(frozen=True)
class Ledger:
    """The notes of one run.

    Attributes:
        address: folder or address of all runs' notes.
        run: which run.
    """

    address: str
    run: str

    @classmethod
    def from_environment(cls) -> "Ledger | None":
        """The ledger that this process was given, or None."""
        address, run = os.environ.get(LEDGER), os.environ.get(RUN)
        return cls(address, run) if address and run else None

    @property
    def place(self) -> str:
        """Where this run's entries are."""
        return f"{self.address.rstrip('/')}/{self.run}"

    def write(self, key: str, entry: Entry) -> None:
        """Put an entry, whole, in the place of the one with the same key.

        Raises:
            DataError: the place cannot be written to.
        """
        import fsspec

        content = json.dumps(vars(entry), sort_keys=True, default=str)
        try:
            system, folder = fsspec.url_to_fs(self.place)
            system.makedirs(folder, exist_ok=True)
            system.pipe_file(f"{folder}/{key}.json", content.encode())
        except Exception as error:  # each file system has errors of its own
            raise _unusable(self.place, error) from error

    def read(self) -> list[Entry]:
        """All entries, in the order in which the tasks began.

        Raises:
            DataError: the place cannot be read.
        """
        import fsspec

        try:
            system, folder = fsspec.url_to_fs(self.place)
            system.invalidate_cache()
            names = system.glob(f"{folder}/*.json")
            entries = [Entry(**json.loads(system.cat_file(name))) for name in names]
        except Exception as error:
            raise _unusable(self.place, error) from error
        return sorted(entries, key=lambda entry: (entry.started, entry.name))


def _unusable(place: str, error: Exception) -> DataError:
    problem = f"the run's ledger cannot be used: {type(error).__name__}: {error}"
    return DataError(problem, where=place, remedy="check the address, the credentials and the network")


@contextmanager
def noted(step: str, fields: dict[str, str]) -> Iterator[Entry]:
    """Note the begin and the end of a task, and what stopped it; without a ledger, nothing is written."""
    entry = Entry(step, fields, commit=os.environ.get(COMMIT, ""))
    ledger, key = Ledger.from_environment(), f"{step}-{uuid.uuid4().hex}"
    if ledger:
        ledger.write(key, entry)
    try:
        yield entry
        entry.state = entry.state if entry.state != "running" else "done"
    except BaseException as error:
        refused = isinstance(error, TraceError) and error.exit_code == Refused.exit_code
        entry.state, entry.problem = "refused" if refused else "failed", str(error) or type(error).__name__
        raise
    finally:
        entry.seconds = round(time.time() - entry.started, 1)
        if ledger:
            ledger.write(key, entry)
