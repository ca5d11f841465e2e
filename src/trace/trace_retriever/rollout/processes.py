"""Serving processes on this machine: started, waited for, read, ended; none outlives who started it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from trace_retriever.rollout.errors import RolloutError, Unreachable
from trace_retriever.rollout.metrics import Snapshot, parse_metrics

TETHER = "trace_retriever.rollout.tether"
POLL_SECONDS, ANSWER_SECONDS = 0.2, 5.0
DRAIN_SECONDS = 40.0  # `trace serve` itself drains for 25 s at most
LAST_LINES = 12


class Serving:
    """One version, served by a process of its own.

    Args:
        version: which.
        command: what serves it on `port`.
        port: of loopback.
        log: where its output goes.
    """

    def __init__(self, version: str, command: Sequence[str], port: int, log: Path) -> None:
        self.version, self.address, self.log = version, f"http://127.0.0.1:{port}", log
        log.parent.mkdir(parents=True, exist_ok=True)
        tethered = [sys.executable, "-m", TETHER, str(os.getpid()), "--", *command]
        with log.open("ab") as stream:
            # a session of its own: Ctrl-C reaches the rollout alone, which then ends its processes in order
            self._process = subprocess.Popen(
                tethered, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Of the process group."""
        return self._process.pid

    def wait_ready(self, seconds: float) -> None:
        """Wait until it answers that it is ready.

        Raises:
            RolloutError: it ended, or was not ready in time; carries the end of its log.
        """
        import httpx

        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if why := self.gone():
                raise RolloutError(f"{self.version} does not start: {why}", where=self.log)
            try:
                if httpx.get(
                    f"{self.address}/v2/health/ready", timeout=ANSWER_SECONDS, trust_env=False
                ).is_success:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_SECONDS)
        raise RolloutError(f"{self.version} is not ready after {seconds:g} s\n{self._said()}", where=self.log)

    def gone(self) -> str | None:
        """Why it is gone, with the end of its log; None while it runs."""
        code = self._process.poll()
        return None if code is None else f"its process ended with {code}\n{self._said()}".rstrip()

    def snapshot(self) -> Snapshot:
        """Its counters now.

        Raises:
            Unreachable: it does not answer.
            RolloutError: what it answers is no metrics.
        """
        import httpx

        try:
            answer = httpx.get(f"{self.address}/metrics", timeout=ANSWER_SECONDS, trust_env=False)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unreachable(f"{type(error).__name__}: {error}", where=f"{self.address}/metrics") from None
        return parse_metrics(answer.text)

    def stop(self) -> None:
        """Let it finish what it is at, then end it and all that it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(DRAIN_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _said(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-LAST_LINES:])


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
