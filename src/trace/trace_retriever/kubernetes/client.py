"""A namespace's API: connected by the pod's own account or a kubeconfig, asked again where it is busy."""

import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from trace_retriever.errors import TraceError

TRIES = 6
SECONDS = 30


class ClusterError(TraceError):
    """The cluster cannot be reached, or refuses."""


class Namespace:
    """The API of one namespace.

    Attributes:
        remedies: status → what to do about it, of who asks.
    """

    remedies: ClassVar[Mapping[int, str]] = {}

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
                _why(error), where=f"namespace {self.namespace}", remedy=self._remedy(error.status)
            ) from None
        except HTTPError as error:
            raise ClusterError(
                f"the cluster cannot be reached: {type(error).__name__}", remedy="see KUBECONFIG"
            ) from None

    def _remedy(self, status: int) -> str | None:
        common = {401: "log in again: the credentials are no longer taken"}
        return {**common, **self.remedies}.get(status)


def _why(error: Any) -> str:
    """The server's message without headers, which may hold what is nobody's business."""
    import json

    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.reason
    return f"the cluster answers {error.status}: {message}"
