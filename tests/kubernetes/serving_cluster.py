"""A stand-in for the API server and KServe's controller on loopback: checks what is applied, says ready.

`waits`: how often an object is looked at before it is ready; `trouble`: the next status codes.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kubernetes.crds import builtin_faults, faults
from tests.kubernetes.loopback import Handler, listening

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


class _Handler(Handler):
    held: Cluster

    def change(self, body: dict[str, Any]) -> None:
        parts = urlsplit(self.path)
        query, match = parse_qs(parts.query), PATH.fullmatch(parts.path)
        wanted = self.headers["Content-Type"] == "application/apply-patch+yaml" and query["fieldManager"]
        if not (match and wanted and query["fieldValidation"] == ["Strict"]):
            self.refuse(400, "not a server-side apply")
            return
        check = faults if match[1] == "serving.kserve.io" else builtin_faults
        if match[4] not in KINDS or KINDS[match[4]] != body["kind"] or match[5] != body["metadata"]["name"]:
            self.refuse(400, "body and path disagree")
        elif wrong := check(body):
            self.refuse(422, "; ".join(wrong))
        else:
            self.answer(200, self.held.apply(body))

    def get(self) -> None:
        match = PATH.fullmatch(urlsplit(self.path).path)
        found = self.held.read(KINDS[match[4]], match[5]) if match else None
        self.answer(200, found) if found else self.refuse(404, "not found")


@contextmanager
def serving(folder: Path, cluster: Cluster) -> Iterator[Path]:
    """The stand-in at work; yields the kubeconfig that leads to it."""
    with listening(folder, _Handler, cluster) as config:
        yield config
