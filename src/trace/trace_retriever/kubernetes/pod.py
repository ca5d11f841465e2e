"""The parts of a pod that the cluster settings decide, as Kubernetes' own plain data."""

from typing import Any

from trace_retriever.config.cluster import ClusterSettings, Pod

USER = 65532  # the images' user
SHARED_MEMORY, SCRATCH = "shared-memory", "scratch"


def labels(component: str) -> dict[str, str]:
    """The labels of everything that is rendered."""
    return {"app.kubernetes.io/part-of": "trace", "app.kubernetes.io/component": component}


def resources(pod: Pod) -> dict[str, Any]:
    """Requests equal to limits, so that a pod is never taken away for using what it asked for."""
    amounts = {"cpu": pod.cpu, "memory": pod.memory}
    if pod.accelerator:
        amounts[pod.accelerator.resource] = str(pod.accelerator.count)
    return {"requests": dict(amounts), "limits": dict(amounts)}


def environment(pod: Pod) -> list[dict[str, Any]]:
    """Plain variables, and those filled from Secrets by name: no value of a secret is in a manifest."""
    plain: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in pod.env.items()]
    secret = [
        {
            "name": item.variable,
            "valueFrom": {"secretKeyRef": {"name": item.secret, "key": item.key}},
        }
        for item in pod.secrets
    ]
    return plain + secret


def claims(pod: Pod) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The pod's volumes and its container's mounts for the settings' claims."""
    names = {
        claim: f"claim-{number}" for number, claim in enumerate(dict.fromkeys(v.claim for v in pod.volumes))
    }
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": claim}} for claim, name in names.items()]
    mounts = [
        {"name": names[volume.claim], "mountPath": volume.path}
        | ({"subPath": volume.sub_path} if volume.sub_path else {})
        for volume in pod.volumes
    ]
    return volumes, mounts


def placement(settings: ClusterSettings, pod: Pod) -> dict[str, Any]:
    """Where the pod may run, and who pulls its image; keys without a value are left out."""
    found: dict[str, Any] = {
        "nodeSelector": dict(pod.node_selector),
        "tolerations": [item.model_dump(exclude_none=True) for item in pod.tolerations],
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
    }
    return {key: value for key, value in found.items() if value}


def memory_volume(size: str) -> dict[str, Any]:
    """/dev/shm in memory: the default of 64 MiB is too little for NCCL."""
    return {"name": SHARED_MEMORY, "emptyDir": {"medium": "Memory", "sizeLimit": size}}


POD_SECURITY: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
