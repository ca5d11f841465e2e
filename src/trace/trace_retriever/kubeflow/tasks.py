"""Cluster settings on a pipeline's tasks: image, resources, nodes, secrets, volumes, caching, retries."""

from typing import TYPE_CHECKING, Any

from trace_retriever.config.cluster import ClusterSettings, Pod
from trace_retriever.kubeflow.component import WORK
from trace_retriever.kubeflow.ledger import LEDGER, RUN
from trace_retriever.kubeflow.multi_node import (
    NAMESPACE,
    TRAIN_CLUSTER,
    as_variable,
    takes_several_machines,
    watcher_pod,
)
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE
from trace_retriever.kubernetes.lifetime import POD_NAME, POD_UID

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask

# The pod's label that names the run; as a parameter of the task it would make every cache key new.
RUN_LABEL = "metadata.labels['pipeline/runid']"
# What a task must know of its pod to start a TrainJob that goes with it.
_OWN_POD = {NAMESPACE: "metadata.namespace", POD_NAME: "metadata.name", POD_UID: "metadata.uid"}


def configure(task: "PipelineTask", step: str, settings: ClusterSettings) -> "PipelineTask":
    """Give a task what its step gets from the cluster.

    Args:
        task: from a component.
        step: its name in the settings.
        settings: the whole file.

    Returns:
        The task.
    """
    from kfp import kubernetes

    several = takes_several_machines(step, settings)
    pod = watcher_pod(settings) if several else settings.pod(step)
    task.set_container_image(settings.images[pod.image])
    task.set_cpu_request(pod.cpu).set_cpu_limit(pod.cpu)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory)
    if pod.accelerator:
        task.set_accelerator_type(pod.accelerator.resource).set_accelerator_limit(pod.accelerator.count)
    task.set_caching_options(pod.caching)
    if pod.retries:
        task.set_retry(pod.retries, backoff_duration=pod.backoff, backoff_factor=2.0)
    for name, value in (pod.env | _places(settings, pod)).items():
        task.set_env_variable(name, value)
    kubernetes.use_field_path_as_env(task, env_name=RUN, field_path=RUN_LABEL)
    if several:
        task.set_env_variable(TRAIN_CLUSTER, as_variable(settings))
        for name, path in _OWN_POD.items():
            kubernetes.use_field_path_as_env(task, env_name=name, field_path=path)
    kubernetes.set_image_pull_policy(task, settings.image_pull_policy)
    if settings.image_pull_secrets:
        kubernetes.set_image_pull_secrets(task, list(settings.image_pull_secrets))
    _place(task, pod, kubernetes)
    return task


def _places(settings: ClusterSettings, pod: Pod) -> dict[str, str]:
    """Where work in progress, notes of the run and outputs by digest go."""
    values = {
        WORK: pod.work_volume,
        LEDGER: settings.ledger,
        REMOTE: settings.dvc_remote,
        ENDPOINT: settings.s3_endpoint,
    }
    return {name: value for name, value in values.items() if value}


def _place(task: "PipelineTask", pod: Pod, kubernetes: Any) -> None:
    """Nodes, volumes, secrets, memory shared by processes."""
    for key, value in pod.node_selector.items():
        kubernetes.add_node_selector(task, label_key=key, label_value=value)
    for toleration in pod.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
    for volume in pod.volumes:
        kubernetes.mount_pvc(task, pvc_name=volume.claim, mount_path=volume.path, sub_path=volume.sub_path)
    if pod.shared_memory:
        kubernetes.empty_dir_mount(
            task,
            volume_name="shared-memory",
            mount_path="/dev/shm",
            medium="Memory",
            size_limit=pod.shared_memory,
        )
    for secret in pod.secrets:
        kubernetes.use_secret_as_env(
            task, secret_name=secret.secret, secret_key_to_env={secret.key: secret.variable}
        )
    if pod.timeout_seconds:
        kubernetes.set_timeout(task, pod.timeout_seconds)
