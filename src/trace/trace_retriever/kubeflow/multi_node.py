"""Step `train` on several machines: its task starts a TrainJob and watches it, on a small machine of its own.

The settings reach the pod as one variable, since a component's body knows none of them: what is in it is in
`pipelines/cluster.yaml`, secrets by name only.
"""

import os

from trace_retriever.config.cluster import ClusterSettings, Pod

TRAIN_CLUSTER, NAMESPACE = "TRACE_TRAIN_CLUSTER", "TRACE_NAMESPACE"
STEP = "train"


def takes_several_machines(step: str, settings: ClusterSettings) -> bool:
    """Whether a step's task is to start a TrainJob."""
    return step == STEP and settings.multi_node.nodes > 1


def watcher_pod(settings: ClusterSettings) -> Pod:
    """The task's own pod: it copies, waits and fetches, so devices and their nodes are left to the TrainJob.

    Volumes stay, since that is where both meet. The TrainJob has its own deadline; its queue may be long.
    """
    pod, defaults = settings.pod(STEP), settings.defaults
    kept = ("image", "cpu", "memory", "shared_memory", "node_selector", "tolerations")
    own = {name: getattr(defaults, name) for name in kept}
    return pod.model_copy(update={**own, "accelerator": None, "timeout_seconds": None})


def as_variable(settings: ClusterSettings) -> str:
    """What a TrainJob needs of the settings, as the value of `TRAIN_CLUSTER`; other steps' are left out."""
    own = {name: about for name, about in settings.steps.items() if name == STEP}
    return settings.model_copy(update={"steps": own}).model_dump_json(exclude_unset=True)


def cluster_of(step: str) -> ClusterSettings | None:
    """The settings of the TrainJob that this task is to start; None where it runs the step itself."""
    given = os.environ.get(TRAIN_CLUSTER)
    if step != STEP or not given:
        return None
    settings = ClusterSettings.model_validate_json(given)
    return settings.model_copy(update={"namespace": os.environ.get(NAMESPACE) or settings.namespace})
