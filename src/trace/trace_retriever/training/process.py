"""Around a training process's work: die with the parent, leave the error, hold the work directory."""

import ctypes
import errno
import faulthandler
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from trace_retriever import errors
from trace_retriever.errors import TraceError
from trace_retriever.io.files import write_atomic

PR_SET_PDEATHSIG = 1
LAST_LINES = 30


class Failure(BaseModel):
    """Why a worker stopped, in a file beside its job."""

    kind: str
    problem: str
    where: str | None = None
    remedy: str | None = None


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent dies, so that none is left behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_worker(main: Callable[[Path], None]) -> None:
    """Run `main(job)` on the command line's job; an error goes to a file beside it, and exits with 1."""
    job = Path(sys.argv[1])
    die_with_parent()
    faulthandler.enable()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    _failure_file(job, os.environ.get("RANK", "0")).unlink(missing_ok=True)  # of the time before a restart
    try:
        main(job)
    except Exception as error:
        leave_failure(job, os.environ.get("RANK", "0"), _describe(error))
        os._exit(1)  # at once: the other ranks wait in a collective until the launcher ends them


def leave_failure(job: Path, rank: str, failure: Failure) -> None:
    """Write why a rank stopped beside its job."""
    write_atomic(_failure_file(job, rank), failure.model_dump_json())


def _describe(error: Exception) -> Failure:
    if isinstance(error, TraceError):
        return Failure(
            kind=type(error).__name__, problem=error.problem, where=error.where, remedy=error.remedy
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            kind="TraceError", problem="no space left", where=error.filename, remedy="free space, then rerun"
        )
    lines = "".join(traceback.format_exception(error)).splitlines()[-LAST_LINES:]
    return Failure(kind="TraceError", problem="a training process failed:\n" + "\n".join(lines))


def _failure_file(job: Path, rank: str) -> Path:
    return job.with_name(f"{job.stem}.failure-{rank}.json")


def _failure_files(job: Path) -> list[Path]:
    return sorted(job.parent.glob(f"{job.stem}.failure-*.json"))


def remove_failures(job: Path) -> None:
    """Forget the failures of an earlier run of a job."""
    for file in _failure_files(job):
        file.unlink()


def has_failure(job: Path) -> bool:
    """Whether a worker of a job has said why it stopped."""
    return bool(_failure_files(job))


def read_failure(job: Path) -> TraceError | None:
    """The error that the workers of a job left, as it was raised; a user's mistake before a crash."""
    failures = [Failure.model_validate_json(file.read_bytes()) for file in _failure_files(job)]
    if not failures:
        return None
    first = min(failures, key=lambda failure: failure.kind == "TraceError")
    kind = getattr(errors, first.kind)
    error: TraceError = kind(first.problem, where=first.where, remedy=first.remedy)
    return error


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Hold a directory for this process; waits while the process of an earlier, dying run still has it."""
    import fcntl

    with (directory / "lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
