"""A stand-in for the API server and Kubeflow Trainer on loopback: it checks TrainJobs and runs them.

Each machine of a job is a process group; machines that fail are started again, as a Job's controller does.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crds import faults  # type: ignore[import-not-found]
from nodes import PYTHON, Node, free_port, pod_environment  # type: ignore[import-not-found]
from tests.kubernetes.loopback import TOKEN, Handler, listening

__all__ = ["TOKEN", "Trainer", "serving"]


@dataclass
class Trainer:
    """What the server holds.

    `trouble`: the next status codes, `backoff`: restarts of machines, `lingers`: how often a job is still
    seen after its removal.
    """

    folder: Path
    backoff: int = 2
    lingers: int = 0
    trouble: list[int] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    machines: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    controllers: list[threading.Thread] = field(default_factory=list)

    def start(self, body: dict[str, Any]) -> None:
        name, spec = body["metadata"]["name"], body["spec"]["trainer"]
        body["metadata"]["uid"] = f"uid-{len(self.requests)}"
        body["status"] = {"conditions": [_condition("Created", "machines are found")]}
        self.jobs[name] = body
        plain = {item["name"]: item["value"] for item in spec["env"] if "value" in item}
        port, count = free_port(), spec["numNodes"]
        self.machines[name] = [
            Node(
                [PYTHON, "-m", "trace_retriever.cli", *spec["command"][1:]],
                {
                    **plain,
                    **pod_environment(number, count, port, spec["numProcPerNode"]),
                    "PET_MAX_RESTARTS": "1",
                    "PET_LOCAL_ADDR": "127.0.0.1",
                },
                self.folder / f"{name}-{number}",
                self.folder / f"{name}-{number}.log",
            )
            for number in range(count)
        ]
        self.controllers.append(
            threading.Thread(target=self._control, args=(body, self.machines[name]), daemon=True)
        )
        self.controllers[-1].start()

    def _control(self, body: dict[str, Any], nodes: list[Any]) -> None:
        left = self.backoff
        while any(node.process.poll() is None or node.process.returncode for node in nodes):
            if "deletionTimestamp" in body["metadata"]:
                return
            for node in nodes:
                if node.process.poll() and "deletionTimestamp" not in body["metadata"]:
                    if not left:
                        for other in nodes:  # a Job that failed takes its other pods down
                            if other.process.poll() is None:
                                other.kill()
                        self._end(body, "Failed", "the job reached its backoff limit")
                        return
                    left -= 1
                    node.restart()
            time.sleep(0.1)
        self._end(body, "Complete", "all machines are done")

    @staticmethod
    def _end(body: dict[str, Any], kind: str, message: str) -> None:
        body["status"]["conditions"].append(_condition(kind, message))

    def remove(self, name: str) -> None:
        """Take a job's machines away; the job itself goes after them."""
        if (body := self.jobs.get(name)) and "deletionTimestamp" not in body["metadata"]:
            body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self._kill(self.machines.pop(name))
            if not self.lingers:
                del self.jobs[name]

    def read(self, name: str) -> dict[str, Any] | None:
        """A job as it is now."""
        found = self.jobs.get(name)
        if found and "deletionTimestamp" in found["metadata"]:
            self.lingers -= 1
            if self.lingers <= 0:
                self.jobs.pop(name)
        return found

    def stop(self) -> None:
        """End all machines; the controllers first, who would start them again."""
        for body in self.jobs.values():
            body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        for controller in self.controllers:
            controller.join()
        for nodes in self.machines.values():
            self._kill(nodes)

    @staticmethod
    def _kill(nodes: list[Any]) -> None:
        for node in nodes:
            if node.process.poll() is None:
                node.kill()


def _condition(kind: str, message: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": "True",
        "message": message,
        "reason": kind,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


class _Handler(Handler):
    held: Trainer

    def change(self, body: dict[str, Any]) -> None:
        if wrong := faults(body):
            self.refuse(422, "; ".join(wrong))
        elif body["metadata"]["name"] in self.held.jobs:
            self.refuse(409, "already exists")
        else:
            self.held.start(body)
            self.answer(201, body)

    def get(self) -> None:
        if match := re.search(r"/trainjobs/([^/?]+)", self.path):
            job = self.held.read(match[1])
            self.answer(200, job) if job else self.refuse(404, "not found")
        elif match := re.search(r"/pods/([^/?]+)/log", self.path):
            text = (self.held.folder / f"{match[1]}.log").read_text()
            self.answer(200, "\n".join(text.splitlines()[-40:]))
        else:
            name, node = re.search(r"jobset-name%3D([^%&]+).*index%3D(\d+)", self.path).groups()  # type: ignore[union-attr]
            made = {"name": f"{name}-{node}", "creationTimestamp": "2026-01-01T00:00:00Z"}
            there = [{"metadata": made}] if name in self.held.machines else []
            self.answer(200, {"kind": "PodList", "apiVersion": "v1", "items": there})

    def delete(self, options: dict[str, Any]) -> None:
        name = self.path.split("?")[0].rsplit("/", 1)[1]
        found, meant = self.held.jobs.get(name), options.get("preconditions", {}).get("uid")
        if found and meant not in (None, found["metadata"]["uid"]):
            self.refuse(409, "the uid in the precondition is another object's")
        else:
            self.held.remove(name)
            self.answer(200, {"kind": "Status", "status": "Success"})


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Trainer, Path]]:
    """The stand-in at work, and the kubeconfig that leads to it."""
    trainer = Trainer(folder)
    with listening(folder, _Handler, trainer) as config:
        try:
            yield trainer, config
        finally:
            trainer.stop()
