"""Starting a training worker in one or several processes, and ending all of them together.

On several machines each runs the same command, told apart by its environment (`io.nodes`): each starts its
share of the processes, which meet at the first machine. Nothing heavy is imported: the parent only waits.
"""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

from trace_retriever.errors import TraceError
from trace_retriever.io.nodes import Nodes
from trace_retriever.training.process import die_with_parent, read_failure, remove_failures


def launch(module: str, job: Path, *, processes: int, threads: int = 1) -> None:
    """Run `module.main(job)` once in each of `processes` processes that can reach each other, and wait.

    Where a launcher has already set `RANK` (torchrun by hand) the worker runs in this process, as that rank.
    Otherwise torchrun's agent starts this machine's share of the processes; on one machine they meet on
    loopback, on several (a TrainJob) at the first one. What they write to stdout and stderr goes to this
    process's stderr. Any process may become the one of rank 0, on whichever machine.

    Args:
        module: has `main(job: Path) -> None` and ends in `run_worker(main)` when it is run as a script.
        job: a JSON file that says what to do; failures are written beside it. Several machines share it.
        processes: how many, over all machines.
        threads: computing threads of each; more than the cores that are free makes steps many times slower.

    Raises:
        ConfigError: the processes cannot be spread over the machines that there are.
        TraceError: a worker failed; carries its own message, or the end of its traceback.
    """
    if "RANK" in os.environ:
        importlib.import_module(module).main(job)
        return
    nodes = Nodes.from_environment()
    share = nodes.share(processes)
    if nodes.leads:
        remove_failures(job)
    child = subprocess.Popen(
        [sys.executable, "-m", "trace_retriever.training.agent", module, str(job), str(share)],
        stdout=sys.stderr.fileno() if _has_descriptor() else None,
        env=_environment(threads),
        preexec_fn=die_with_parent,
    )
    code = _wait(child)
    if code:
        raise read_failure(job) or TraceError(
            f"training ended with exit code {code}", where=job, remedy="its last messages are above"
        )


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def _has_descriptor() -> bool:
    try:
        return sys.stderr.fileno() >= 0
    except (OSError, ValueError):  # a notebook's or a test's stand-in for stderr
        return False


def _wait(child: "subprocess.Popen[bytes]") -> int:
    """Wait for the child; a SIGTERM or Ctrl-C to this process ends the child (and its workers) first."""

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: the signal is not ours to handle
        before = None
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        try:
            child.wait(timeout=15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
