"""How benchmarks measure: repeats, spread, what machine it was, results written as they come."""

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from trace_retriever.io.files import read_json, write_json

PACKAGES = ("torch", "transformers", "faiss-cpu", "numpy", "peft", "deepspeed", "triton")
CLOCKS = "clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw"


@dataclass
class Clock:
    """Times work on a device, within a budget.

    Attributes:
        device: waited for before and after.
        seconds: the budget; `left` says what is left of it.
        repeats: of each measurement, if there is time.
    """

    device: torch.device
    seconds: float = 120.0
    repeats: int = 3
    started: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.seconds - (time.monotonic() - self.started)

    def once(self, run: Callable[[], object]) -> float:
        """Seconds of one run, the device's work included."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def measure(self, run: Callable[[int], object], *, inner: int = 1) -> dict[str, Any]:
        """Repeat a run; a first one is not counted, and no repeat begins that would not fit the budget.

        Args:
            run: takes the number of the repeat, -1 for the first.
            inner: how many times the run does its work; seconds are of one.

        Returns:
            `seconds` (median), `min`, `max`, `repeats`.
        """
        first = self.once(lambda: run(-1))
        found = [self.once(lambda: run(0))]
        while len(found) < self.repeats and self.left > max(first, *found):
            number = len(found)
            found.append(self.once(lambda number=number: run(number)))  # type: ignore[misc]
        return spread([one / inner for one in found])


def spread(seconds: list[float]) -> dict[str, Any]:
    """Median and extent of repeats."""
    return {
        "seconds": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
        "repeats": len(seconds),
    }


def environment() -> dict[str, Any]:
    """Machine, versions and command, as each result file says them; no host name."""
    return {
        "machine": {
            "platform": platform.platform(),
            "python": platform.python_version(),
            "cpu": _cpu_model(),
            "cpus": len(_cpus()),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
        "command": " ".join(["python", *sys.argv]),
    }


def clocks() -> dict[str, str] | None:
    """The GPU's clocks (MHz), temperature (C) and power (W) now; None where the driver does not tell."""
    query = ["nvidia-smi", f"--query-gpu={CLOCKS}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    values = answer.stdout.splitlines()[0].split(",")
    return dict(zip(CLOCKS.split(","), map(str.strip, values), strict=True))


class Results:
    """A result file that is whole after each section.

    Args:
        path: where; sections that it holds already are kept, until they are measured again.
        about: what is common to the sections measured now.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path, self.about = path, about
        self.sections: dict[str, Any] = read_json(path)["sections"] if path.exists() else {}

    def add(self, name: str, figures: dict[str, Any]) -> None:
        """Write a section, with what it was measured on."""
        self.sections[name] = {**figures, "measured": self.about}
        write_json(self.path, {**self.about, "sections": self.sections})


def _cpus() -> set[int]:
    import os

    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
