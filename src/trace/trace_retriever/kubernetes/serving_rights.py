"""Who may serve and who may deploy: the servers' account, which may nothing, and the pipelines' role."""

from typing import Any

from trace_retriever.config.deploy import DeploySettings
from trace_retriever.kubernetes.inference_service import ACCOUNT
from trace_retriever.kubernetes.pod import labels

RBAC = "rbac.authorization.k8s.io/v1"
ROLE = "trace-deploy"
KINDS = {
    "serving.kserve.io": ("inferenceservices", "servingruntimes"),
    "policy": ("poddisruptionbudgets",),
}


def serving_rights(settings: DeploySettings, deployer: str) -> list[dict[str, Any]]:
    """Render accounts, role and binding.

    Args:
        settings: of the cluster.
        deployer: service account of the promotion pipeline: it may read and apply the objects of this
            service by name, and nothing else.
    """
    space = settings.namespace
    secrets = [{"name": settings.storage_secret}] if settings.storage_secret else []
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _meta(ACCOUNT, space),
        **({"secrets": secrets} if secrets else {}),  # KServe fetches packages with it; by name, no value
        "automountServiceAccountToken": False,
    }
    rules: list[dict[str, Any]] = []
    for group, kinds in KINDS.items():
        rule = {"apiGroups": [group], "resources": list(kinds)}
        rules.append({**rule, "resourceNames": [settings.name], "verbs": ["get", "patch"]})
        # What is not there yet is made by its patch; a right to create cannot be bound to a name.
        rules.append({**rule, "verbs": ["create"]})
    role = {"apiVersion": RBAC, "kind": "Role", "metadata": _meta(ROLE, space), "rules": rules}
    binding = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": _meta(ROLE, space),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": deployer, "namespace": space}],
    }
    return [account, role, binding]


def _meta(name: str, space: str) -> dict[str, Any]:
    return {"name": name, "namespace": space, "labels": labels("serve")}
