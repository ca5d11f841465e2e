"""`deploy/serving.yaml` as types: how a version is served in a cluster, and which versions are to be.

The pins say what runs: a change of a digest here is the change that a review approves.
"""

import json
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from trace_retriever.config.base import Section
from trace_retriever.config.cluster import (
    NAME,
    QUANTITY,
    Accelerator,
    Pod,
    SecretVariable,
    Toleration,
    Volume,
)
from trace_retriever.config.serve import ServeSettings
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

SERVING = Path("deploy/serving.yaml")
DIGEST = r"^sha256:[0-9a-f]{64}$"
SHORT = r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$"
Mode = Literal["standard", "serverless"]


class Pinned(Section):
    """A version by the digest of its manifest, which names every byte of it."""

    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$", description="Version, for people.")
    manifest: str = Field(pattern=DIGEST, description="Digest of its manifest: what was approved.")

    @property
    def hex(self) -> str:
        """The digest's digits: folder of its package in the store."""
        return self.manifest.removeprefix("sha256:")


class ServingPod(Section):
    """What each replica gets."""

    cpu: str = Field("2", pattern=QUANTITY, description="Cores, requested and limit.")
    memory: str = Field("4Gi", pattern=QUANTITY, description="Memory, requested and limit.")
    accelerator: Accelerator | None = Field(None, description="Devices; none by default.")
    node_selector: dict[str, str] = Field({}, description="Labels that the node must have.")
    tolerations: tuple[Toleration, ...] = Field((), description="Taints that the pod puts up with.")
    volumes: tuple[Volume, ...] = Field((), description="Claims mounted into the pod, read only.")
    secrets: tuple[SecretVariable, ...] = Field((), description="Variables filled from Secrets.")
    env: dict[str, str] = Field(
        {"OMP_NUM_THREADS": "1"},
        description="Plain variables; threads that compute: a core fewer than the pod has, "
        "which connections need.",
    )

    def pod(self) -> Pod:
        """The same in the terms of the pipelines' pods."""
        return Pod(
            cpu=self.cpu,
            memory=self.memory,
            accelerator=self.accelerator,
            volumes=self.volumes,
            secrets=self.secrets,
            env=self.env,
        )


class Scaling(Section):
    """How many replicas, by the queries that wait in each."""

    min_replicas: int = Field(2, ge=1, le=1000, description="Fewest; at least 2 lose no request on a move.")
    max_replicas: int = Field(6, ge=1, le=1000, description="Most.")
    canary_replicas: int = Field(1, ge=1, le=1000, description="Of the canary, in Standard mode.")
    queue_length: int = Field(8, ge=1, description="Waiting queries of a replica that ask for another one.")
    concurrency: int = Field(16, ge=1, description="Requests at a time of a replica, in Serverless mode.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas {self.min_replicas} is above max_replicas {self.max_replicas}")
        return self


class DeploySettings(Section):
    """The whole file."""

    name: str = Field("trace-retriever", pattern=SHORT, description="Of the InferenceService.")
    namespace: str = Field("kubeflow-user", pattern=NAME, description="Where it runs.")
    mode: Mode = Field("standard", description="KServe's deployment mode that `apply` and the pipeline use.")
    image: str = Field(min_length=1, description="Image of the server, by tag or digest.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="When.")
    image_pull_secrets: tuple[str, ...] = Field((), description="Secrets with the registry's credentials.")
    packages: str = Field(
        pattern=r"^(s3|gs|pvc)://[A-Za-z0-9][A-Za-z0-9._/-]*$",
        description="Store of packages; each lies below it, under the digits of its manifest's digest.",
    )
    registry: SecretVariable = Field(
        SecretVariable(secret="trace-registry", key="url", variable="TRACE_REGISTRY"),
        description="Secret with the registry's address, for the pipeline's tasks.",
    )
    storage_secret: str | None = Field(None, pattern=NAME, description="Secret with the store's credentials.")
    embeddings: str | None = Field(
        None,
        pattern=r"^/.+",
        description="Candidates on a volume; {manifest} stands for the digest's digits.",
    )
    dataset: str | None = Field(None, pattern=r"^/.+", description="Data set on a volume, for named pools.")
    canary_address: str | None = Field(
        None,
        pattern=r"^https?://[^\s@]+$",
        description="Where the canary is reached past the split, if elsewhere.",
    )
    store_path: str | None = Field(
        None, description="Where the pipeline writes `packages`, if by another name: a folder on a volume."
    )
    prometheus: str = Field(
        pattern=r"^https?://[^\s@]+$", description="Address of Prometheus, in the cluster."
    )
    pod: ServingPod = Field(ServingPod(), description="Of each replica.")
    scaling: Scaling = Field(Scaling(), description="How many.")
    serve: dict[str, Any] = Field({}, description="Bounds of `trace serve`: config/serve.py.")
    startup_seconds: int = Field(300, ge=10, description="Longest start: fetching, loading, warming up.")
    grace_seconds: int = Field(45, ge=1, description="Time to finish what is in flight when a pod goes.")
    champion: Pinned = Field(description="What is in production.")
    canary: Pinned | None = Field(None, description="What is tried.")
    canary_percent: int = Field(0, ge=0, le=99, description="Its part of the traffic.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        served = ServeSettings.model_validate_json(json.dumps(self.serve))
        if self.grace_seconds <= served.drain_seconds + served.lame_duck_seconds:
            raise ValueError(f"grace_seconds {self.grace_seconds} is not longer than what draining may take")
        if self.canary is not None and self.canary.manifest == self.champion.manifest:
            raise ValueError("champion and canary are the same version")
        if self.canary is None and self.canary_percent:
            raise ValueError("canary_percent without a canary")
        if self.packages.startswith("pvc://") and not self.store_path:
            raise ValueError("packages on a volume need store_path: the folder by which the pipeline has it")
        mounts = [volume.path for volume in self.pod.volumes]
        for path in filter(None, (self.embeddings, self.dataset)):
            if not any(Path(path).is_relative_to(mount) for mount in mounts):
                raise ValueError(f"{path} lies on none of the volumes")
        return self

    @property
    def packages_path(self) -> str:
        """Where the pipeline writes packages; a volume is a folder to it."""
        return self.store_path or self.packages

    def uri(self, version: Pinned) -> str:
        """Where a version's package lies: named by its digest, so that it never changes."""
        return f"{self.packages.rstrip('/')}/{version.hex}"


def load_deploy(path: Path = SERVING) -> DeploySettings:
    """Read the settings file.

    Raises:
        ConfigError: it is missing or not YAML; an unknown key, a wrong type, a value out of bounds.
    """
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return DeploySettings.model_validate_json(json.dumps(raw))
    except FileNotFoundError:
        raise ConfigError(
            "serving settings not found", where=path, remedy="name them with --serving"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
    except ValidationError as error:
        raise ConfigError(describe(error), where=path) from None
    except TypeError as error:
        raise ConfigError(str(error), where=path) from None
