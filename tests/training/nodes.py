"""Machines of one training run, stood in for by process groups on loopback: started, killed, restarted."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

WAIT_SECONDS = 240


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def pod_environment(
    number: int, count: int, port: int, processes: int, address: str = "127.0.0.1"
) -> dict[str, str]:
    """What the Trainer sets in the pod of node `number`."""
    return {
        "PET_NNODES": str(count),
        "PET_NPROC_PER_NODE": str(processes),
        "PET_NODE_RANK": str(number),
        "PET_MASTER_ADDR": address,
        "PET_MASTER_PORT": str(port),
    }


class Node:
    """One machine: a command in a process group of its own, its output in a file."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.command, self.environment, self.folder, self.log = list(command), dict(environment), folder, log
        self.starts = 0
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        self.starts += 1
        stream: IO[Any]
        with self.log.open("ab") as stream:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def restart(self) -> None:
        """Start it again, as the Job's controller does with a pod that is gone."""
        self.process = self._start()

    def kill(self) -> None:
        """Take the whole machine away at once."""
        for pid in (self.process.pid, *descendants(self.process.pid)):
            _kill(pid)
        self.process.wait()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def workers(pid: int, module: str = "trace_retriever.training.worker") -> list[int]:
    """The training processes below one; its agent and its own command are not among them."""
    import psutil

    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            if child.cmdline()[1:3] == ["-m", module]:
                found.append(child.pid)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s: {what}")
        time.sleep(0.05)


def finish(nodes: Sequence[Node], restarts: int = 0) -> list[int]:
    """Wait for all machines; those that fail are started again, `restarts` times in all."""
    deadline = time.monotonic() + WAIT_SECONDS
    while any(node.process.poll() is None for node in nodes) or (
        restarts and any(node.process.returncode for node in nodes)
    ):
        for node in nodes:
            if node.process.poll() and restarts:
                restarts -= 1
                node.restart()
        if time.monotonic() > deadline:
            for node in nodes:
                node.kill()
            raise AssertionError("the machines did not finish")
        time.sleep(0.1)
    return [node.process.returncode for node in nodes]


PYTHON = sys.executable
