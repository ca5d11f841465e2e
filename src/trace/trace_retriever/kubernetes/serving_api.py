"""A client that applies serving objects and waits until KServe says that they are ready."""

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from trace_retriever.kubernetes.client import SECONDS, ClusterError, Namespace

MANAGER = "trace-deploy"
APPLY = "application/apply-patch+yaml"
PLURALS = {
    "InferenceService": "inferenceservices",
    "ServingRuntime": "servingruntimes",
    "PodDisruptionBudget": "poddisruptionbudgets",
}


class ServingObjects(Namespace):
    """Serving objects of a namespace; applied on the server's side, so that other owners' fields stay."""

    remedies: ClassVar[Mapping[int, str]] = {
        403: "give the account the role of deploy/serving/rights.yaml",
        404: "install KServe 0.20 or newer",
        409: "another manager owns a field: see the message, and who else applies these objects",
        422: "hold deploy/serving/ against the cluster's version of KServe",
    }

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Apply an object; returns it as the server has it then.

        Raises:
            ClusterError: refused, in conflict with another manager, or the cluster cannot be reached.
        """
        path, values = self._place(body["kind"], body["apiVersion"], body["metadata"]["name"])
        found: dict[str, Any] = self._call(
            lambda: self._objects.api_client.call_api(
                path,
                "PATCH",
                values,
                [("fieldManager", MANAGER), ("fieldValidation", "Strict"), ("force", "false")],
                {"Content-Type": APPLY, "Accept": "application/json"},
                body=dict(body),
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=SECONDS,
            )
        )
        return found

    def read(self, kind: str, api: str, name: str) -> dict[str, Any] | None:
        """An object as the server has it; None where there is none."""
        group, version = api.split("/")
        found: dict[str, Any] | None = self._call(
            lambda: self._objects.get_namespaced_custom_object(
                group, version, self.namespace, PLURALS[kind], name, _request_timeout=SECONDS
            ),
            passed=404,
        )
        return found

    def wait_ready(
        self, applied: Mapping[str, Any], *, timeout: float, poll: float, say: Callable[[str], None]
    ) -> dict[str, Any]:
        """Wait until an InferenceService is ready as it was applied, its canary too.

        Returns:
            The object, with its address in `status.url`.

        Raises:
            ClusterError: not ready in time, or gone; says what KServe says.
        """
        meta, until, said = applied["metadata"], time.monotonic() + timeout, ""
        while True:
            found = self.read(applied["kind"], applied["apiVersion"], meta["name"])
            if found is None:
                raise ClusterError(f"{meta['name']} was removed while it was waited for")
            waits = waits_for(found, int(meta.get("generation", 0)))
            if not waits:
                return found
            if waits != said:
                said = waits
                say(f"{meta['name']}: {waits}")
            if time.monotonic() + poll > until:
                raise ClusterError(
                    f"{meta['name']} is not ready after {timeout:g} s: {waits}",
                    where=f"namespace {self.namespace}",
                    remedy=f"kubectl describe inferenceservice {meta['name']}",
                )
            time.sleep(poll)

    def _place(self, kind: str, api: str, name: str) -> tuple[str, dict[str, str]]:
        group, version = api.split("/")
        values = {"group": group, "version": version, "namespace": self.namespace}
        path = "/apis/{group}/{version}/namespaces/{namespace}/{plural}/{name}"
        return path, {**values, "plural": PLURALS[kind], "name": name}


def waits_for(service: Mapping[str, Any], generation: int) -> str:
    """What an InferenceService still waits for; empty when it is ready as of a generation."""
    status = service.get("status", {})
    if int(status.get("observedGeneration", 0)) < generation:
        return "KServe has not seen the change"
    for tried in status.get("canaryStatuses", []):
        if not tried.get("ready"):
            return f"canary {tried.get('name')} is not ready"
    conditions = {item["type"]: item for item in status.get("conditions", [])}
    if canaries := service.get("spec", {}).get("canary"):
        known = {tried.get("name") for tried in status.get("canaryStatuses", [])}
        if missing := {one["predictor"]["name"] for one in canaries} - known:
            return f"no word yet of canary {', '.join(sorted(missing))}"
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        return str(ready.get("message") or ready.get("reason") or "no word yet")
    predictor = status.get("components", {}).get("predictor", {})
    latest = predictor.get("latestCreatedRevision")
    if latest and predictor.get("latestReadyRevision") != latest:
        return f"revision {latest} is not ready"
    return ""
