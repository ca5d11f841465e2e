"""A stand-in for the API server and Kubeflow Trainer on loopback: it checks TrainJobs and runs them.

Each machine of a job is a process group; machines that fail are started again, as a Job's controller does.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from crds import faults  # type: ignore[import-not-found]
from nodes import PYTHON, Node, free_port, pod_environment  # type: ignore[import-not-found]

TOKEN = "loopback-only"


@dataclass
class Trainer:
    """What the server holds; `trouble`: the next status codes, `backoff`: restarts of machines."""

    folder: Path
    backoff: int = 2
    trouble: list[int] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    machines: dict[str, list[Any]] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)

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
        threading.Thread(target=self._control, args=(body, self.machines[name]), daemon=True).start()

    def _control(self, body: dict[str, Any], nodes: list[Any]) -> None:
        left = self.backoff
        while any(node.process.poll() is None or node.process.returncode for node in nodes):
            for node in nodes:
                if node.process.poll():
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

    def stop(self) -> None:
        for node in (node for nodes in self.machines.values() for node in nodes):
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


class _Handler(BaseHTTPRequestHandler):
    trainer: Trainer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: Any) -> None:
        plain = isinstance(body, str)
        content = body.encode() if plain else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

    def _ready(self) -> bool:
        self.trainer.requests.append((self.command, self.path.split("?")[0]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "Unauthorized")
        elif self.trainer.trouble:
            self._refuse(self.trainer.trouble.pop(0), "as the test asked")
        else:
            return True
        return False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._ready():
            return
        if wrong := faults(body):
            self._refuse(422, "; ".join(wrong))
        elif body["metadata"]["name"] in self.trainer.jobs:
            self._refuse(409, "already exists")
        else:
            self.trainer.start(body)
            self._answer(201, body)

    def do_GET(self) -> None:
        if not self._ready():
            return
        if match := re.search(r"/trainjobs/([^/?]+)", self.path):
            job = self.trainer.jobs.get(match[1])
            self._answer(200, job) if job else self._refuse(404, "not found")
        elif match := re.search(r"/pods/([^/?]+)/log", self.path):
            text = (self.trainer.folder / f"{match[1]}.log").read_text()
            self._answer(200, "\n".join(text.splitlines()[-40:]))
        else:
            name, node = re.search(r"jobset-name%3D([^%&]+).*index%3D(\d+)", self.path).groups()  # type: ignore[union-attr]
            made = {"name": f"{name}-{node}", "creationTimestamp": "2026-01-01T00:00:00Z"}
            there = [{"metadata": made}] if name in self.trainer.machines else []
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": there})

    def do_DELETE(self) -> None:
        if self._ready():
            self.trainer.jobs.pop(self.path.split("?")[0].rsplit("/", 1)[1], None)
            self._answer(200, {"kind": "Status", "status": "Success"})


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Trainer, Path]]:
    """The stand-in at work, and the kubeconfig that leads to it."""
    trainer = Trainer(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"trainer": trainer}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    place = {"server": f"http://127.0.0.1:{server.server_port}"}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": place}],
                "users": [{"name": "me", "user": {"token": TOKEN}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            }
        )
    )
    try:
        yield trainer, config
    finally:
        trainer.stop()
        server.shutdown()
        server.server_close()
