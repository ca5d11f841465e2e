"""The TrainJob: one training run on the machines that the cluster settings give it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trace_retriever.config.cluster import ClusterSettings
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ConfigError
from trace_retriever.kubernetes.lifetime import RUN, Owner
from trace_retriever.kubernetes.pod import claims, environment, labels, placement, resources
from trace_retriever.kubernetes.runtime import API, NODE

MANAGER = "trace.retriever/train"


def train_command(folder: Path, inputs: Mapping[str, Path]) -> list[str]:
    """What every machine runs: the command line's own verb, on paths that all of them see.

    Args:
        folder: the run's folder on a shared volume; holds `params.yaml`, gets `out/` and `report/`.
        inputs: argument name → path on a shared volume.
    """
    return [
        "trace",
        "train",
        f"--params={folder / 'params.yaml'}",
        *(f"--{name}={path}" for name, path in sorted(inputs.items())),
        f"--out={folder / 'out'}",
        f"--report={folder / 'report'}",
    ]


def train_job(
    name: str,
    settings: ClusterSettings,
    config: TrainConfig,
    folder: Path,
    inputs: Mapping[str, Path],
    run: str = "",
    owner: Owner | None = None,
) -> dict[str, Any]:
    """Render a TrainJob.

    Args:
        name: its name.
        settings: the cluster's; the pods are those of step `train`, the size is `multi_node`.
        config: the params, held against that size.
        folder, inputs: see `train_command`; all must lie on the pod's volumes.
        run: the pipeline's run that it belongs to, for the manifest.
        owner: the pod that it goes with; without one it stays until somebody removes it.

    Raises:
        ConfigError: params and size disagree, or a path that the machines do not share.
    """
    multi, pod = settings.multi_node, settings.pod("train")
    _check_size(multi.nodes, multi.processes_per_node, config)
    for path in (folder, *inputs.values()):
        if not any(path.is_relative_to(volume.path) for volume in pod.volumes):
            raise ConfigError(
                f"{path} is on no volume that the machines share",
                where="steps.train.volumes",
                remedy="mount a ReadWriteMany claim there",
            )
    # The pods of a TrainJob share their work in progress: that is where a lost one goes on.
    own = [{"name": "TRACE_WORK", "value": str(folder / "work")}]
    own += [{"name": RUN, "value": run}] if run else []
    return {
        "apiVersion": API,
        "kind": "TrainJob",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": labels("train"),
            **(owner.metadata() if owner else {}),
        },
        "spec": {
            "runtimeRef": {
                "apiGroup": "trainer.kubeflow.org",
                "kind": "ClusterTrainingRuntime",
                "name": multi.runtime,
            },
            **({"activeDeadlineSeconds": pod.timeout_seconds} if pod.timeout_seconds else {}),
            "trainer": {
                "image": settings.image("train"),
                "command": train_command(folder, inputs),
                "env": [*own, *environment(pod)],
                "numNodes": multi.nodes,
                "numProcPerNode": multi.processes_per_node,
                "resourcesPerNode": resources(pod),
            },
            "runtimePatches": [_patch(settings)],
        },
    }


def _check_size(nodes: int, each: int, config: TrainConfig) -> None:
    if config.processes != nodes * each:
        raise ConfigError(
            f"train.processes is {config.processes}; the cluster gives {nodes} machines x {each} processes",
            where="multi_node",
            remedy=f"set train.processes to {nodes * each}, or the cluster's size to the params",
        )


def _patch(settings: ClusterSettings) -> dict[str, Any]:
    """What belongs to the namespace: claims and placement, put onto the runtime's pods."""
    pod = settings.pod("train")
    volumes, mounts = claims(pod)
    spec = {
        "volumes": volumes,
        "containers": [{"name": NODE, "volumeMounts": mounts}],
        **placement(settings, pod),
    }
    jobs = [{"name": NODE, "template": {"spec": {"template": {"spec": spec}}}}]
    return {"manager": MANAGER, "trainingRuntimeSpec": {"template": {"spec": {"replicatedJobs": jobs}}}}
