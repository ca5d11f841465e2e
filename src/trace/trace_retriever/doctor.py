"""`trace doctor`: what the machine has and lacks, with a remedy for each thing it lacks."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from trace_retriever.io.processors import usable_processors

Status = Literal["ok", "warn", "missing"]
DISTRIBUTION = "trace-retriever"
LEAST_PYTHON = (3, 11)
GIB = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what.
        status: "missing" only for what the chain cannot run without.
        found: what there is.
        remedy: what to do; empty when nothing is to be done.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


def diagnose(root: Path | None = None) -> list[Check]:
    """Look at everything.

    Args:
        root: directory whose disk is measured; the current one by default.
    """
    checks = [_python(), _cores(), _memory(), _disk(root or Path()), *packages(), _torch(), _bf16(), _faiss()]
    return checks + [_program(*program) for program in PROGRAMS]


def healthy(checks: list[Check]) -> bool:
    """Whether nothing is missing that the chain cannot run without."""
    return all(check.status != "missing" for check in checks)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The diagnosis as plain data: healthy, checks."""
    return {"healthy": healthy(checks), "checks": [asdict(check) for check in checks]}


def describe(checks: list[Check]) -> str:
    """The diagnosis as lines for a terminal."""
    lines = []
    for check in checks:
        lines.append(f"{check.status:<8}{check.name:<22}{check.found}")
        if check.remedy:
            lines.append(f"{'':<30}→ {check.remedy}")
    lacking = [check.name for check in checks if check.status == "missing"]
    ending = f"missing: {', '.join(lacking)}" if lacking else "everything that the chain needs is there"
    return "\n".join([*lines, "", ending])


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info[:2] < LEAST_PYTHON:
        return Check("python", "missing", found, "use Python 3.11 or later")
    return Check("python", "ok", found)


def _cores() -> Check:
    usable = usable_processors()
    found = f"{usable} usable of {os.cpu_count()}"
    if usable < 2:
        return Check(
            "cores", "warn", found, "the demo takes about twice as long on one core; set train.processes: 1"
        )
    return Check("cores", "ok", found)


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    limit = _cgroup_limit()
    usable = min(total, limit) if limit else total
    found = f"{usable:.1f} GiB" + (" (limit of the container)" if limit and limit < total else "")
    if usable < 6:
        return Check("memory", "warn", found, "the demo needs up to 6 GB; lower train and embed batch sizes")
    return Check("memory", "ok", found)


def _cgroup_limit() -> float | None:
    """GiB that this container may use; None when it is not limited."""
    file = Path("/sys/fs/cgroup/memory.max")
    try:
        content = file.read_text().strip()
    except OSError:
        return None
    return int(content) / GIB if content.isdecimal() else None


def _disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free / GIB
    found = f"{free:.1f} GiB free"
    if free < 0.5:
        return Check("disk", "missing", found, "free at least 5 GiB: outputs are written beside the old ones")
    if free < 5:
        return Check("disk", "warn", found, "free 5 GiB for the data set, checkpoints and DVC's cache")
    return Check("disk", "ok", found)


def packages() -> Iterator[Check]:
    """Each required package against the version that this package asks for."""
    from packaging.requirements import Requirement

    try:
        lines = sorted(metadata.requires(DISTRIBUTION) or [])
    except metadata.PackageNotFoundError:
        yield Check(DISTRIBUTION, "missing", "not installed", "pip install . (or -e .) in the checkout")
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement.name, str(requirement.specifier), requirement.specifier.contains)


def _package(name: str, asked: str, accepts: Callable[..., bool]) -> Check:
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "missing", "not installed", f"pip install '{name}{asked}'")
    if not accepts(found, prereleases=True):
        return Check(name, "missing", f"{found}, needs {asked}", f"pip install '{name}{asked}'")
    return Check(name, "ok", found)


def _torch() -> Check:
    try:
        import torch
    except ImportError as error:
        return Check("torch build", "missing", str(error), "install torch 2.11 or later")
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU build"
    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
        found = f"{torch.__version__}, {build}, {torch.cuda.device_count()} x {', '.join(sorted(names))}"
        return Check("torch build", "ok", found)
    remedy = "fine for the tiny model; a 7B model wants a GPU and a CUDA build of torch"
    return Check("torch build", "warn", f"{torch.__version__}, {build}, no GPU", remedy)


def _bf16() -> Check:
    try:
        import torch
    except ImportError:
        return Check("bf16", "warn", "torch is not there", "install torch")
    if torch.cuda.is_available():
        if torch.cuda.is_bf16_supported():
            return Check("bf16", "ok", "GPU")
        return Check("bf16", "warn", "not on this GPU", "train in fp32, or on an Ampere GPU or later")
    flags = _cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"}
    if flags:
        return Check("bf16", "ok", f"CPU ({', '.join(sorted(flags))})")
    return Check("bf16", "warn", "emulated on this CPU", "works but is slow: train in fp32 here")


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith(("flags", "Features")) for flag in line.split()}


def _faiss() -> Check:
    """faiss-cpu and the GPU builds bring the same module; which one is there shows in its functions."""
    try:
        import faiss
    except ImportError as error:
        return Check("faiss GPU", "warn", str(error), "install faiss-cpu, or a GPU build in its place")
    if hasattr(faiss, "StandardGpuResources"):
        return Check("faiss GPU", "ok", f"{faiss.__version__}, {faiss.get_num_gpus()} GPU(s)")
    return Check(
        "faiss GPU", "warn", f"{faiss.__version__}, CPU only", "optional: a GPU build for large pools"
    )


Program = tuple[str, tuple[str, ...], bool, str]
PROGRAMS: tuple[Program, ...] = (
    (
        "C++ compiler",
        ("g++", "c++", "clang++"),
        False,
        "optional: g++ for the extensions that DeepSpeed compiles; the chain runs without them",
    ),
    ("git", ("git",), True, "install git: DVC and the manifests use it"),
    ("dvc command", ("dvc",), True, "install dvc 3.67 into this environment and put it on the PATH"),
    ("sglang", ("sglang",), False, "optional: a fast server for teachers; any OpenAI-compatible one does"),
    ("vllm", ("vllm",), False, "optional: a fast server for teachers; any OpenAI-compatible one does"),
    (
        "container builder",
        ("buildah", "podman", "docker"),
        False,
        "optional: buildah or podman, to build images",
    ),
    (
        "browser",
        ("chromium", "chromium-browser", "google-chrome"),
        False,
        "optional: to look at reports in tests",
    ),
)


def _program(name: str, commands: tuple[str, ...], required: bool, remedy: str) -> Check:
    """A program on the PATH, or beside the running Python as in an environment that is not activated."""
    beside = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    found = next((path for command in commands if (path := shutil.which(command, path=beside))), None)
    if found is None:
        return Check(name, "missing" if required else "warn", "not found", remedy)
    return Check(name, "ok", _version(found) if required else Path(found).name)


def _version(program: str) -> str:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return f"{Path(program).name} (does not say its version)"
    first = answer.stdout.strip().splitlines()
    return first[0] if first else Path(program).name
