"""Tasks of a compiled pipeline in containers of the image: KFP's local runner says what, an engine runs it.

KFP's own DockerRunner is not used: it needs a daemon, and takes a container that went away unasked for one
that ended well.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_retriever.kubeflow.compiled import Compiled
from trace_retriever.kubeflow.ledger import LEDGER, RUN
from trace_retriever.kubeflow.remote import REMOTE

HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SCRATCH = ("--tmpfs=/tmp:rw,size=2g", "--workdir=/tmp")


@dataclass(frozen=True)
class Given:
    """What a task's pod has beside its executor input.

    Attributes:
        env: variables that a cluster would fill from settings and secrets.
        network: none, or host for a task that talks to servers on this machine's loopback device.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    network: str = "none"


NOTHING = Given()


@dataclass
class Containers:
    """Where the tasks of the pipelines run.

    Attributes:
        engine: podman or docker.
        image: in place of the compiled pipelines' own, or None.
        work: mounted at its own path, since executor inputs hold absolute paths.
        ran: run → executor label → exit codes of its tasks.
    """

    engine: str
    image: str | None
    work: Path
    ran: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def run(
        self,
        compiled: Compiled,
        arguments: Mapping[str, Any],
        run: str,
        pods: Mapping[str, Given] | None = None,
    ) -> None:
        """Run a pipeline to its end.

        Args:
            compiled: the pipeline.
            arguments: of the run.
            run: its name, for the ledger and the log.
            pods: executor label → what its pod has; others have no network.

        Raises:
            RuntimeError: a task failed (KFP's own error).
        """
        from kfp import components, local
        from kfp.local import subprocess_task_handler
        from kfp.local.status import Status

        containers, codes, given = self, self.ran.setdefault(run, {}), pods or {}

        class Task(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]  # KFP has no types
            """KFP's task on this machine, its command run in a container and not beside this process."""

            def run(self) -> Status:
                label, command = executor_of(self.full_command), self.full_command
                need_as_compiled(compiled, label, command)
                pod = given.get(label, NOTHING)
                options = [*shared_memory(compiled, label), *containers.options(run, pod, self.env_vars)]
                code = containers.execute(options, self.image, command, f"{run} {label}")
                codes.setdefault(label, []).append(code)
                return Status.FAILURE if code else Status.SUCCESS

        ours, subprocess_task_handler.SubprocessTaskHandler = (
            subprocess_task_handler.SubprocessTaskHandler,
            Task,
        )
        try:
            local.init(
                local.SubprocessRunner(use_venv=False),
                pipeline_root=str(self.work / "artifacts"),
                workspace_root=str(self.work / "workspace"),
                enable_caching=False,
            )
            components.load_component_from_file(str(compiled.path))(**arguments)
        finally:
            subprocess_task_handler.SubprocessTaskHandler = ours

    def options(self, run: str, pod: Given, env: Mapping[str, str]) -> list[str]:
        """The engine's options for one container."""
        places = {RUN: run, LEDGER: str(self.work / "ledger"), REMOTE: str(self.work / "remote")}
        values = {**env, **places, **pod.env}
        variables = [f"--env={name}={value}" for name, value in values.items()]
        mount = f"--volume={self.work}:{self.work}"
        return [*HARDENED, *SCRATCH, f"--network={pod.network}", mount, *variables]

    def execute(self, options: list[str], image: str, command: list[str], title: str) -> int:
        """Run a command in a fresh container; print seconds and exit code, its log on failure."""
        started = time.monotonic()
        done = subprocess.run(
            [self.engine, "run", "--rm", *options, self.image or image, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        print(f"{seconds:6.1f} s  exit {done.returncode}  {title}", file=sys.__stdout__, flush=True)
        (self.work / f"{title.split()[0]}.log").open("a").write(done.stdout)
        if done.returncode:
            print("\n".join(done.stdout.splitlines()[-30:]), file=sys.stderr, flush=True)
        return done.returncode

    @contextmanager
    def beside(self, image: str, command: list[str], name: str) -> Iterator[None]:
        """Keep a command running in a container that has this machine's network, until the block ends."""
        options = self.options(name, Given(network="host"), {})
        log = (self.work / f"{name}.log").open("w")
        with (
            log,
            subprocess.Popen(
                [self.engine, "run", "--rm", f"--name={name}", *options, self.image or image, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                yield
            finally:
                subprocess.run([self.engine, "stop", "--time=20", name], check=False, capture_output=True)
                process.wait(60)


def executor_of(command: list[str]) -> str:
    """The executor's label, from where its executor input has the task's outputs."""
    given = json.loads(command[command.index("--executor_input") + 1])
    return f"exec-{Path(given['outputs']['outputFile']).parent.name}"


def need_as_compiled(compiled: Compiled, label: str, command: list[str]) -> None:
    """Refuse a command that is not the compiled pipeline's own.

    Raises:
        AssertionError: KFP would run something else.
    """
    container = compiled.spec["deploymentSpec"]["executors"][label]["container"]
    kept = len(container["command"])
    if command[:kept] != container["command"] or len(command) != kept + len(container["args"]):
        raise AssertionError(f"{label}: KFP would run something else than the compiled pipeline says")


def shared_memory(compiled: Compiled, label: str) -> list[str]:
    """What the pod gets as /dev/shm."""
    kubernetes = compiled.platform.get("platforms", {}).get("kubernetes", {})
    mounts = (
        kubernetes.get("deploymentSpec", {}).get("executors", {}).get(label, {}).get("emptyDirMounts", [])
    )
    return [
        f"--shm-size={mount['sizeLimit'].removesuffix('i').lower()}"
        for mount in mounts
        if mount["mountPath"] == "/dev/shm"
    ]
