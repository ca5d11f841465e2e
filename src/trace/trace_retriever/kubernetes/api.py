"""A client for TrainJobs: create, watch, read logs, remove. Its rights are those of `rights.py`, no more."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trace_retriever.errors import TraceError

GROUP, VERSION, PLURAL = "trainer.kubeflow.org", "v1alpha1", "trainjobs"
ENDS = ("Complete", "Failed")
TRIES = 6
SECONDS = 30


class ClusterError(TraceError):
    """The cluster cannot be reached, or refuses."""


@dataclass(frozen=True)
class State:
    """Where a TrainJob stands.

    Attributes:
        end: `Complete`, `Failed`, or empty while it runs.
        message: the cluster's word on it.
        uid: which object of that name it is.
    """

    end: str
    message: str
    uid: str


class TrainJobs:
    """The TrainJobs of a namespace, by the pod's own account or the user's kubeconfig."""

    def __init__(self, namespace: str) -> None:
        from kubernetes import client, config

        try:
            if "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config()
            else:
                config.load_kube_config(os.environ.get("KUBECONFIG"))  # the client reads it at import alone
        except config.ConfigException as error:
            raise ClusterError(
                f"no cluster is known here: {error}", remedy="run in a pod, or set KUBECONFIG"
            ) from None
        self.namespace = namespace
        self._objects, self._core = client.CustomObjectsApi(), client.CoreV1Api()

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
        return State(end["type"] if end else "", str(last.get("message", "")), found["metadata"]["uid"])

    def remove(self, name: str) -> None:
        """Remove a TrainJob and its pods."""
        self._call(
            lambda: self._objects.delete_namespaced_custom_object(
                GROUP,
                VERSION,
                self.namespace,
                PLURAL,
                name,
                propagation_policy="Foreground",
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

    def _call(self, request: Callable[[], Any], passed: int | None = None) -> Any:
        """Send a request, again where the server is busy or away; None where it answers with `passed`."""
        from kubernetes.client import ApiException
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
        from urllib3.exceptions import HTTPError

        def passing(error: BaseException) -> bool:
            if isinstance(error, ApiException):
                return error.status in (0, 429) or error.status >= 500
            return isinstance(error, HTTPError)

        again = Retrying(
            retry=retry_if_exception(passing),
            stop=stop_after_attempt(TRIES),
            wait=wait_random_exponential(0.2, max=20),
            reraise=True,
        )
        try:
            return again(request)
        except ApiException as error:
            if error.status == passed:
                return None
            raise ClusterError(
                _why(error), where=f"namespace {self.namespace}", remedy=_remedy(error.status)
            ) from None
        except HTTPError as error:
            raise ClusterError(
                f"the cluster cannot be reached: {type(error).__name__}", remedy="see KUBECONFIG"
            ) from None


def _why(error: Any) -> str:
    """The server's message without headers, which may hold what is nobody's business."""
    import json

    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"the cluster answers {error.status}: {message}"


def _remedy(status: int) -> str | None:
    return {
        401: "log in again: the credentials are no longer taken",
        403: "give the account the role of deploy/rights.yaml",
        404: "install Kubeflow Trainer v2, and deploy/runtime.yaml",
        422: "hold deploy/ against the cluster's version of the Trainer",
    }.get(status)
