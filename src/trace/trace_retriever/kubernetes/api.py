"""A client for TrainJobs: create, watch, read logs, remove. Its rights are those of `rights.py`, no more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from trace_retriever.kubernetes.client import SECONDS, ClusterError, Namespace
from trace_retriever.kubernetes.lifetime import RUN_ANNOTATION

__all__ = ["ClusterError", "State", "TrainJobs"]

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
ENDS = ("Complete", "Failed")


@dataclass(frozen=True)
class State:
    """Where a TrainJob stands.

    Attributes:
        end: `Complete`, `Failed`, or empty while it runs.
        message: the cluster's word on it.
        uid: which object of that name it is.
        leaving: it was removed, and goes once its pods are gone.
        run: the pipeline's run whose it is; empty where none started it.
    """

    end: str
    message: str
    uid: str
    leaving: bool = False
    run: str = ""


class TrainJobs(Namespace):
    """The TrainJobs of a namespace, by the pod's own account or the user's kubeconfig."""

    remedies: ClassVar[Mapping[int, str]] = {
        403: "give the account the role of deploy/rights.yaml",
        404: "install Kubeflow Trainer v2, and deploy/runtime.yaml",
        422: "hold deploy/ against the cluster's version of the Trainer",
    }

    def create(self, body: dict[str, Any]) -> bool:
        """Create a TrainJob; False where one of its name is there already."""
        answer = self._call(
            lambda: self._objects.create_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                PLURAL,
                body,
                field_validation="Strict",
                _request_timeout=SECONDS,
            ),
            passed=409,
        )
        return answer is not None

    def state(self, name: str) -> State | None:
        """Where a TrainJob stands; None if there is none of that name."""
        found = self._call(
            lambda: self._objects.get_namespaced_custom_object(
                GROUP, VERSION, self.namespace, PLURAL, name, _request_timeout=SECONDS
            ),
            passed=404,
        )
        if found is None:
            return None
        held = [c for c in found.get("status", {}).get("conditions", []) if c["status"] == "True"]
        end = next((c for c in held if c["type"] in ENDS), None)
        last = end or (held[-1] if held else {})
        meta = found["metadata"]
        return State(
            end=end["type"] if end else "",
            message=str(last.get("message", "")),
            uid=meta["uid"],
            leaving="deletionTimestamp" in meta,
            run=(meta.get("annotations") or {}).get(RUN_ANNOTATION, ""),
        )

    def remove(self, name: str, uid: str | None = None) -> None:
        """Remove a TrainJob and its pods; given a uid, that one and no later one of its name."""
        options: dict[str, Any] = {"propagationPolicy": "Foreground"}
        options |= {"preconditions": {"uid": uid}} if uid else {}
        self._call(
            lambda: self._objects.delete_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                PLURAL,
                name,
                body=options,
                _request_timeout=SECONDS,
            ),
            passed=404,
        )

    def log(self, name: str, node: int = 0, lines: int = 40) -> str:
        """The end of a machine's log: that of its latest pod; empty while it has none."""
        selector = f"jobset.sigs.k8s.io/jobset-name={name},batch.kubernetes.io/job-completion-index={node}"
        pods = self._call(
            lambda: self._core.list_namespaced_pod(
                self.namespace, label_selector=selector, _request_timeout=SECONDS
            )
        ).items
        if not pods:
            return ""
        latest = max(pods, key=lambda pod: pod.metadata.creation_timestamp)
        text = self._call(
            lambda: self._core.read_namespaced_pod_log(
                latest.metadata.name, self.namespace, tail_lines=lines, _request_timeout=SECONDS
            ),
            passed=400,  # its container has not started
        )
        return text or ""
