"""Who may do what: accounts, roles, and who talks to whom. Least of each."""

from typing import Any

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.kubernetes.pod import labels
from trace_retriever.kubernetes.runtime import TRAIN_ACCOUNT

RBAC = "rbac.authorization.k8s.io/v1"
ROLE = "trace-train-jobs"


def rights(settings: ClusterSettings) -> list[dict[str, Any]]:
    """Render accounts, role, binding and network policy.

    Training pods get an account without any right and without a token. The pipelines' account, which Kubeflow
    makes with its namespace, gets to start and watch TrainJobs and to read their logs; no secrets, no
    pods of its own making, nothing outside the namespace.
    """
    space = settings.namespace
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": _meta(TRAIN_ACCOUNT, space),
            "automountServiceAccountToken": False,
        },
        {
            "apiVersion": RBAC,
            "kind": "Role",
            "metadata": _meta(ROLE, space),
            "rules": [
                {
                    "apiGroups": ["trainer.kubeflow.org"],
                    "resources": ["trainjobs"],
                    "verbs": ["create", "get", "delete"],
                },
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
                {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
            ],
        },
        {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": _meta(ROLE, space),
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": settings.service_account, "namespace": space}],
        },
        _network(space),
    ]


def _network(space: str) -> dict[str, Any]:
    """Training pods reach one another and the name service, and nothing else."""
    ours = {"podSelector": {"matchLabels": labels("train")}}
    names = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _meta(TRAIN_ACCOUNT, space),
        "spec": {
            **ours,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [ours]}],
            "egress": [{"to": [ours]}, {"to": [{"namespaceSelector": {}}], "ports": names}],
        },
    }


def _meta(name: str, space: str) -> dict[str, Any]:
    return {"name": name, "namespace": space, "labels": labels("train")}
