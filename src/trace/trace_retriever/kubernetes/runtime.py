"""The ClusterTrainingRuntime: how any TRACE training runs on several machines.

Whoever runs the cluster installs it once. It names nothing of a namespace (no claim, no secret): a TrainJob
adds those. What brings a run back after a fault, from the smallest: torchrun's agent starts the processes
again (`PET_MAX_RESTARTS`); the Job replaces a lost pod, whose agent joins the others. Each time training
goes on from the last checkpoint.
"""

from typing import Any

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.errors import ConfigError
from trace_retriever.kubernetes.pod import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    SCRATCH,
    SHARED_MEMORY,
    labels,
    memory_volume,
)

API = "trainer.kubeflow.org/v1alpha1"
NODE = "node"  # the Trainer looks for the replicated job and the container of this name
TRAIN_ACCOUNT = "trace-train"
DEFAULT_SHARED_MEMORY = "2Gi"
REFUSED = 3  # `trace` ends with it when a check says no: trying again would not help
GRACE_SECONDS = 60


def training_runtime(settings: ClusterSettings) -> dict[str, Any]:
    """Render the ClusterTrainingRuntime.

    Args:
        settings: of which the image, its size, shared memory and restarts of step `train` are used.

    Raises:
        ConfigError: more GPUs or fewer a machine than processes that need one.
    """
    multi, pod = settings.multi_node, settings.pod("train")
    if pod.accelerator and pod.accelerator.count != multi.processes_per_node:
        raise ConfigError(
            f"{multi.processes_per_node} processes on each machine, and {pod.accelerator.count} devices",
            where="multi_node.processes_per_node",
            remedy="set it to steps.train.accelerator.count: one process a device",
        )
    job = {
        # Every machine may be lost as often as training may be started again.
        "backoffLimit": multi.max_restarts * multi.nodes,
        "podFailurePolicy": {"rules": [_refused(), _moved()]},
        "template": {"metadata": {"labels": labels("train")}, "spec": _pod(settings)},
    }
    return {
        "apiVersion": API,
        "kind": "ClusterTrainingRuntime",
        "metadata": {
            "name": multi.runtime,
            "labels": {**labels("train"), "trainer.kubeflow.org/framework": "torch"},
        },
        "spec": {
            "mlPolicy": {"numNodes": multi.nodes, "torch": {}},
            "template": {
                "spec": {
                    "network": {"publishNotReadyAddresses": True},  # machines meet before they are ready
                    "replicatedJobs": [
                        {
                            "name": NODE,
                            "template": {
                                "metadata": {
                                    "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
                                },
                                "spec": job,
                            },
                        }
                    ],
                }
            },
        },
    }


def _refused() -> dict[str, Any]:
    return {
        "action": "FailJob",
        "onExitCodes": {"containerName": NODE, "operator": "In", "values": [REFUSED]},
    }


def _moved() -> dict[str, Any]:
    """A pod that a drained or reclaimed machine takes with it counts as no failure."""
    return {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def _pod(settings: ClusterSettings) -> dict[str, Any]:
    pod = settings.pod("train")
    container = {
        "name": NODE,
        "image": settings.image("train"),
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["trace", "train"],
        "env": runtime_environment(settings),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": SHARED_MEMORY, "mountPath": "/dev/shm"},
            {"name": SCRATCH, "mountPath": "/tmp"},
        ],
    }
    return {
        "restartPolicy": "Never",  # a lost pod is made anew, elsewhere; podFailurePolicy needs it
        "serviceAccountName": TRAIN_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [
            memory_volume(pod.shared_memory or DEFAULT_SHARED_MEMORY),
            {"name": SCRATCH, "emptyDir": {}},
        ],
    }


def runtime_environment(settings: ClusterSettings) -> list[dict[str, Any]]:
    """torchrun's settings that the Trainer leaves to us, and how GPUs talk; a TrainJob's own come on top."""
    plain = {"PET_MAX_RESTARTS": str(settings.multi_node.max_restarts)}
    if settings.pod("train").accelerator:
        plain |= {
            "NCCL_DEBUG": "WARN",
            "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1",  # a lost peer ends the others' wait
        }
    address = {"name": "PET_LOCAL_ADDR", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return [{"name": name, "value": value} for name, value in plain.items()] + [address]
