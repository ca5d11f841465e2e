"""Run every component's container command in the image, as the compiled pipelines have it, on toy data.

python scripts/image_components.py WORK [--engine podman] [--image IMAGE]

KFP's local runner walks `pipelines/compiled/training.yaml` and `reindex.yaml` and fills in each executor
input; the command and args of the executor's `container` section then run in a container of their own: user
of the image, root file system read-only, no network, no capability, scratch in memory. WORK, an empty
directory, is all that they share. KFP's own DockerRunner is not used: it needs a daemon, and takes a
container that went away unasked for one that ended well.
"""

import argparse
import json
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trace_retriever.io.files import read_json
from trace_retriever.kubeflow.arguments import arguments_of
from trace_retriever.kubeflow.compiled import Compiled, compiled_path
from trace_retriever.kubeflow.ledger import LEDGER, RUN
from trace_retriever.kubeflow.remote import REMOTE

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "profiles/tiny.yaml"
# Smaller still than the tiny profile: what is learnt does not matter here, only what is passed on.
TOY = (
    "prepare.openmoji.pictures=14",
    "prepare.openmoji.train_simple=10",
    "prepare.openmoji.train_hops=20",
    "prepare.openmoji.train_relations=20",
    "prepare.openmoji.train_edits=20",
    "prepare.openmoji.val=3",
    "prepare.openmoji.test=5",
    "backbone.pretraining.steps=3",
    "backbone.pretraining.warmup=1",
    "backbone.pretraining.exam=2",
    "backbone.pretraining.processes=1",
    "train.steps=2",
    "train.warmup=1",
    "train.batch=8",
    "train.processes=2",  # two, that meet over the loopback device alone
    "train.validation.every=2",
    "train.validation.queries=1",
    "embed.max_trace_tokens=4",
    "evaluate.examples=2",
)
HARDENED = ("--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges")
SCRATCH = ("--tmpfs=/tmp:rw,size=2g", "--workdir=/tmp")


@dataclass
class Containers:
    """Where the tasks of the pipelines run.

    Attributes:
        engine: podman or docker.
        image: in place of the compiled pipelines' own, or None.
        work: mounted at its own path, since executor inputs hold absolute paths.
        ran: executor label → exit codes of its tasks, pipeline by pipeline.
    """

    engine: str
    image: str | None
    work: Path
    ran: dict[str, dict[str, list[int]]] = field(default_factory=dict)

    def run(self, compiled: Compiled, arguments: Mapping[str, Any], run: str) -> None:
        """Run a pipeline to its end.

        Raises:
            RuntimeError: a task failed (KFP's own error).
        """
        from kfp import components, local
        from kfp.local import subprocess_task_handler
        from kfp.local.status import Status

        containers, codes = self, self.ran.setdefault(run, {})

        class Task(subprocess_task_handler.SubprocessTaskHandler):
            """KFP's task on this machine, its command run in a container and not beside this process."""

            def run(self) -> Status:
                label = executor_of(self.full_command)
                code = containers.execute(compiled, label, run, self.image, self.full_command, self.env_vars)
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

    def execute(
        self,
        compiled: Compiled,
        label: str,
        run: str,
        image: str,
        command: list[str],
        env: Mapping[str, str],
    ) -> int:
        """Run one task's command in a fresh container; print seconds and exit code, its log on failure."""
        container = compiled.spec["deploymentSpec"]["executors"][label]["container"]
        kept = len(container["command"])
        if command[:kept] != container["command"] or len(command) != kept + len(container["args"]):
            raise AssertionError(f"{label}: KFP would run something else than the compiled pipeline says")
        values = {**env, RUN: run, LEDGER: str(self.work / "ledger"), REMOTE: str(self.work / "remote")}
        options = [*HARDENED, *SCRATCH, *shared_memory(compiled, label), f"--volume={self.work}:{self.work}"]
        options += [f"--env={name}={value}" for name, value in values.items()]
        started = time.monotonic()
        done = subprocess.run(
            [self.engine, "run", "--rm", *options, self.image or image, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds = time.monotonic() - started
        print(f"{seconds:6.1f} s  exit {done.returncode}  {run} {label}", file=sys.__stdout__, flush=True)
        (self.work / f"{run}.log").open("a").write(done.stdout)
        if done.returncode:
            print("\n".join(done.stdout.splitlines()[-30:]), file=sys.stderr, flush=True)
        return done.returncode


def executor_of(command: list[str]) -> str:
    """The executor's label, from where its executor input has the task's outputs."""
    given = json.loads(command[command.index("--executor_input") + 1])
    return f"exec-{Path(given['outputs']['outputFile']).parent.name}"


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


def left(work: Path, step: str, **fields: str) -> dict[str, Any]:
    """What the one task of the training run that was this step's left, by its own note."""
    notes = map(read_json, (work / "ledger/training").glob(f"{step}-*.json"))
    [found] = [note for note in notes if note["state"] == "done" and note["fields"] == fields]
    return dict(found)


def check(containers: Containers) -> None:
    """Train; index anew what came of it, once as approved, once with another digest, which fails."""
    training, reindex = (
        Compiled.load(compiled_path(ROOT / "pipelines", name)) for name in ("training", "reindex")
    )
    given = arguments_of(training.parameters, training.defaults, PROFILE, TOY, ())
    containers.run(training, given, "training")
    registered = left(containers.work, "register")
    digests = {
        "dataset": left(containers.work, "prepare")["outputs"]["dvc"],
        "model": registered["outputs"]["dvc"],
        "previous": left(containers.work, "embed", model="trace")["outputs"]["dvc"],
        "manifest": registered["metrics"]["manifest_digest"],
    }
    containers.run(reindex, {"embed": given["embed"], **digests}, "reindex")
    with suppress(RuntimeError):
        containers.run(reindex, digests | {"manifest": f"sha256:{'0' * 64}"}, "refused")
    if not any(containers.ran["refused"].get("exec-verify", [])):
        raise AssertionError("a model with another manifest than the approved one was not refused")
    for name, compiled in (("training", training), ("reindex", reindex)):
        executors = set(compiled.spec["deploymentSpec"]["executors"])
        if missing := executors - set(containers.ran[name]):
            raise AssertionError(f"{name}: never ran: {', '.join(sorted(missing))}")
        print(f"{name}: all {len(executors)} container commands ran")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # KFP's, about images that are not named python
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("--engine", default="podman")
    parser.add_argument("--image")
    given = parser.parse_args()
    check(Containers(given.engine, given.image, given.work.resolve()))
