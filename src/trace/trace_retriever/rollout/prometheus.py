"""Counters of pods from a Prometheus server, in the form that the steps compare."""

import re
from typing import Any

from trace_retriever.rollout.errors import Unreachable
from trace_retriever.rollout.metrics import COUNTERS, Snapshot, series

SECONDS = 10.0
POD = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def pods_snapshot(address: str, namespace: str, prefix: str) -> Snapshot:
    """The counters of all pods whose name begins with a prefix; each pod is a series of its own.

    Args:
        address: of Prometheus.
        namespace, prefix: of the pods.

    Raises:
        Unreachable: no answer, an error, or no such pod is scraped.
    """
    if not POD.fullmatch(namespace) or not POD.fullmatch(prefix):
        raise ValueError(f"not names of Kubernetes: {namespace!r}, {prefix!r}")
    names = "|".join(COUNTERS)
    query = f'{{__name__=~"{names}",namespace="{namespace}",pod=~"{re.escape(prefix)}-.*"}}'
    found = _vector(address, query.replace("\\-", "-"))
    if not found:
        raise Unreachable(f"Prometheus has no metrics of pods {prefix}-…", where=address)
    return series(
        (item["metric"]["__name__"], _labels(item["metric"]), float(item["value"][1])) for item in found
    )


def _labels(metric: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in metric.items() if name in ("pod", "route", "outcome", "le")}


def _vector(address: str, query: str) -> list[dict[str, Any]]:
    import httpx

    try:
        answer = httpx.get(
            f"{address.rstrip('/')}/api/v1/query", params={"query": query}, timeout=SECONDS, trust_env=False
        )
        answer.raise_for_status()
        content = answer.json()
        if content["status"] != "success" or content["data"]["resultType"] != "vector":
            raise ValueError(str(content)[:200])
        result: list[dict[str, Any]] = content["data"]["result"]
        return result
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"Prometheus: {type(error).__name__}: {error}", where=address) from None
