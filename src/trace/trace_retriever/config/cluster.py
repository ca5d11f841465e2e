"""What steps get from a cluster: image, resources, nodes, secrets, volumes; read by all that renders.

The pipelines put these settings on their tasks, the TrainJob on its pods; no component's body knows them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from trace_retriever.config.base import Section
from trace_retriever.config.params import SECTIONS
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

NAME = r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$"
QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
VARIABLE = r"^[A-Z_][A-Z0-9_]*$"
# Tasks of the pipelines that are no step of the chain.
TASKS = ("pull", "report", "verify", "approved", "publish", "canary", "rollout")


class Accelerator(Section):
    """Devices of a pod, by the resource name that the cluster's device plugin gives them."""

    resource: str = Field("nvidia.com/gpu", min_length=1, description="Resource name.")
    count: int = Field(1, ge=1, description="Devices of a pod.")


class Toleration(Section):
    """A taint that the pod puts up with (Kubernetes' own fields)."""

    key: str | None = Field(None, description="Taint key; none tolerates all.")
    operator: Literal["Equal", "Exists"] = Field("Exists", description="How the value is compared.")
    value: str | None = Field(None, description="Taint value, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(None, description="Effect.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("Equal needs a value, Exists takes none")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("Equal needs a key")
        return self


class SecretVariable(Section):
    """An environment variable filled from a key of a Secret: the value is in no manifest."""

    secret: str = Field(pattern=NAME, description="Name of the Secret.")
    key: str = Field(min_length=1, description="Key in it.")
    variable: str = Field(pattern=VARIABLE, description="Environment variable.")


class Volume(Section):
    """A PersistentVolumeClaim that is there already, mounted into the pod."""

    claim: str = Field(pattern=NAME, description="Name of the claim.")
    path: str = Field(pattern=r"^/.+", description="Where it is mounted.")
    sub_path: str = Field("", description="Folder of the volume that is mounted.")


class Pod(Section):
    """What one step's pod gets. In a step's own section, a key takes the place of the default."""

    image: Literal["cpu", "gpu"] = Field("cpu", description="Which of the images.")
    cpu: str = Field("2", pattern=QUANTITY, description="Cores, requested and limit.")
    memory: str = Field("4Gi", pattern=QUANTITY, description="Memory, requested and limit.")
    accelerator: Accelerator | None = Field(None, description="Devices; none by default.")
    node_selector: dict[str, str] = Field({}, description="Labels that the node must have.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints that the pod puts up with.")
    shared_memory: str | None = Field(
        None, pattern=QUANTITY, description="Size of /dev/shm, which processes of one pod share."
    )
    volumes: tuple[Volume, ...] = Field((), description="Claims mounted into the pod.")
    work_volume: str | None = Field(
        None,
        pattern=r"^/.+",
        description="Folder on a volume where work in progress outlives the pod: a retry goes on there.",
    )
    secrets: tuple[SecretVariable, ...] = Field((), description="Variables filled from Secrets.")
    env: dict[str, str] = Field({}, description="Plain variables, such as NCCL's.")
    caching: bool = Field(True, description="Reuse an earlier task's outputs when its inputs are equal.")
    retries: int = Field(1, ge=0, le=10, description="How often a failed task is tried again.")
    backoff: str = Field("30s", pattern=r"^[0-9]+s$", description="Wait before the first retry; it doubles.")
    timeout_seconds: int | None = Field(None, ge=1, description="Longest time that the pod may run.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        mounts = [volume.path for volume in self.volumes]
        if len(set(mounts)) < len(mounts):
            raise ValueError(f"two volumes at one path: {mounts}")
        if self.work_volume and not any(Path(self.work_volume).is_relative_to(mount) for mount in mounts):
            raise ValueError(f"work_volume {self.work_volume} lies on none of the volumes")
        names = [*self.env, *(secret.variable for secret in self.secrets)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"variables set twice: {', '.join(twice)}")
        return self


class MultiNode(Section):
    """Training on several machines: the size of a TrainJob. Its pods are those of step `train`."""

    nodes: int = Field(1, ge=1, description="Machines.")
    processes_per_node: int = Field(1, ge=1, description="Training processes of each: one a GPU.")
    max_restarts: int = Field(3, ge=0, description="Restarts from the last checkpoint.")
    runtime: str = Field("trace-deepspeed", pattern=NAME, description="Name of the ClusterTrainingRuntime.")


class ClusterSettings(Section):
    """The whole file, `pipelines/cluster.yaml`."""

    images: dict[Literal["cpu", "gpu"], str] = Field(description="Image of each kind, by tag or digest.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="When.")
    image_pull_secrets: tuple[str, ...] = Field((), description="Secrets with the registry's credentials.")
    dvc_remote: str | None = Field(
        None, description="Where outputs are pushed by digest: s3://bucket/prefix."
    )
    ledger: str | None = Field(
        None, description="Where a run's tasks note what they did: s3://…, or a volume."
    )
    s3_endpoint: str | None = Field(None, description="S3 server of both, where it is not Amazon's.")
    namespace: str = Field("kubeflow-user", pattern=NAME, description="Where manifests go.")
    service_account: str = Field("pipeline-runner", pattern=NAME, description="Whose rights runs have.")
    defaults: Pod = Field(Pod(), description="What every step gets.")
    steps: dict[str, dict[str, Any]] = Field({}, description="Step → keys that differ from the defaults.")
    multi_node: MultiNode = Field(MultiNode(), description="Training as a TrainJob.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if unknown := sorted(set(self.steps) - {*SECTIONS, *TASKS}):
            raise ValueError(f"steps that there are not: {', '.join(unknown)}")
        for name in self.steps:
            kind = self.pod(name).image
            if kind not in self.images:
                raise ValueError(f"step {name} wants image {kind!r}, and images has none of that name")
        if self.defaults.image not in self.images:
            raise ValueError(f"images lacks {self.defaults.image!r}")
        return self

    def pod(self, step: str) -> Pod:
        """What a step's pod gets: the defaults, with the step's own keys in their place."""
        own = self.steps.get(step, {})
        return Pod.model_validate_json(
            _json({**self.defaults.model_dump(mode="json", exclude_unset=True), **own})
        )

    def image(self, step: str) -> str:
        """The image that a step's pod runs."""
        return self.images[self.pod(step).image]


def _json(value: Mapping[str, Any]) -> str:
    import json

    return json.dumps(value)


def load_cluster(path: Path) -> ClusterSettings:
    """Read the settings file.

    Raises:
        ConfigError: it is missing or not YAML; an unknown key or step, a wrong type, a value out of bounds.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            "cluster settings not found", where=path, remedy="name them with --cluster"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
    try:
        return ClusterSettings.model_validate_json(_json(raw))
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
    except TypeError as error:
        raise ConfigError(str(error), where=path) from None
