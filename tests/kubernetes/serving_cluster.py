"""A stand-in for the API server and KServe's controller on loopback: checks what is applied, says ready.

`waits`: how often an object is looked at before it is ready; `trouble`: the next status codes.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kubernetes.crds import builtin_faults, faults

TOKEN = "loopback-only"
PATH = re.compile(r"/apis/([^/]+)/([^/]+)/namespaces/([^/]+)/([^/]+)/([^/]+)")
KINDS = {
    "inferenceservices": "InferenceService",
    "servingruntimes": "ServingRuntime",
    "poddisruptionbudgets": "PodDisruptionBudget",
}


@dataclass
class Cluster:
    """What the server holds: kind and name → object; and each request that it was sent."""

    url: str = "http://trace-retriever.example.org"
    waits: int = 1
    never: str = ""
    trouble: list[int] = field(default_factory=list)
    objects: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    applied: list[dict[str, Any]] = field(default_factory=list)

    def apply(self, body: dict[str, Any]) -> dict[str, Any]:
        key = (body["kind"], body["metadata"]["name"])
        before = self.objects.get(key, {})
        generation = before.get("metadata", {}).get("generation", 0)
        if before.get("spec") != body["spec"]:
            generation += 1
            self.looks[body["metadata"]["name"]] = 0
        meta = {**body["metadata"], "generation": generation, "uid": "uid-1"}
        self.objects[key] = {**body, "metadata": meta, "status": before.get("status", {})}
        self.applied.append(body)
        return self.objects[key]

    def read(self, kind: str, name: str) -> dict[str, Any] | None:
        found = self.objects.get((kind, name))
        if found and kind == "InferenceService":
            self.looks[name] = self.looks.get(name, 0) + 1
            if self.looks[name] > self.waits:
                found["status"] = self._status(found, ready=not self.never)
        return found

    def _status(self, body: dict[str, Any], ready: bool) -> dict[str, Any]:
        word = "True" if ready else "False"
        condition = {"type": "Ready", "status": word, "message": self.never or "all is well"}
        status: dict[str, Any] = {
            "observedGeneration": body["metadata"]["generation"],
            "conditions": [condition],
            "url": self.url,
        }
        if canaries := body["spec"].get("canary"):
            status["canaryStatuses"] = [
                {"name": c["predictor"]["name"], "ready": ready, "trafficPercent": c["trafficPercent"]}
                for c in canaries
            ]
        return status


class _Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

    def _ready(self) -> bool:
        self.cluster.requests.append((self.command, self.path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "Unauthorized")
        elif self.cluster.trouble:
            self._refuse(self.cluster.trouble.pop(0), "as the test asked")
        else:
            return True
        return False

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._ready():
            return
        parts = urlsplit(self.path)
        query, match = parse_qs(parts.query), PATH.fullmatch(parts.path)
        wanted = self.headers["Content-Type"] == "application/apply-patch+yaml" and query["fieldManager"]
        if not (match and wanted and query["fieldValidation"] == ["Strict"]):
            self._refuse(400, "not a server-side apply")
            return
        check = faults if match[1] == "serving.kserve.io" else builtin_faults
        if match[4] not in KINDS or KINDS[match[4]] != body["kind"] or match[5] != body["metadata"]["name"]:
            self._refuse(400, "body and path disagree")
        elif wrong := check(body):
            self._refuse(422, "; ".join(wrong))
        else:
            self._answer(200, self.cluster.apply(body))

    def do_GET(self) -> None:
        if self._ready():
            match = PATH.fullmatch(urlsplit(self.path).path)
            found = self.cluster.read(KINDS[match[4]], match[5]) if match else None
            self._answer(200, found) if found else self._refuse(404, "not found")


@contextmanager
def serving(folder: Path, cluster: Cluster) -> Iterator[Path]:
    """The stand-in at work; yields the kubeconfig that leads to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cluster": cluster}))
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
        yield config
    finally:
        server.shutdown()
        server.server_close()
