"""The rollout in a cluster: traffic split by KServe, counters from Prometheus; the `Target` of the steps."""

from dataclasses import dataclass
from typing import Any

from trace_retriever.config.deploy import DeploySettings, Pinned
from trace_retriever.kubernetes.inference_service import predictor_name, serving_objects
from trace_retriever.kubernetes.serving_api import ServingObjects
from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Version
from trace_retriever.rollout.errors import RolloutError
from trace_retriever.rollout.metrics import Snapshot
from trace_retriever.rollout.prometheus import pods_snapshot
from trace_retriever.rollout.steps import Say, Side

POLL_SECONDS = 2.0


def pinned(version: Version) -> Pinned:
    """A version of the registry as the settings name it."""
    return Pinned(version=version.version, manifest=version.digests["manifest"])


@dataclass
class ClusterTarget:
    """Champion and canary of one InferenceService.

    Attributes:
        settings: of the cluster; its own pins do not matter here, the registry says what is what.
        objects: the client.
        champion: None while nothing is in production.
        canary: what is tried.
        say: takes a line of progress.
    """

    settings: DeploySettings
    objects: ServingObjects
    champion: Pinned | None
    canary: Pinned
    say: Say
    ready_seconds: float = 600.0
    poll_seconds: float = POLL_SECONDS
    _status: dict[str, Any] | None = None

    @classmethod
    def of(
        cls, registry: Registry, version: Version, settings: DeploySettings, say: Say, ready_seconds: float
    ) -> "ClusterTarget":
        """The target of a version: against what the registry has in production now."""
        champion = registry.champion(version.name)
        objects = ServingObjects(settings.namespace)
        before = pinned(champion) if champion else None
        return cls(settings, objects, before, pinned(version), say, ready_seconds)

    @property
    def has_champion(self) -> bool:
        """Whether there is a champion to compare with."""
        return self.champion is not None

    def set_percent(self, percent: int) -> None:
        """Apply the split and wait until it is ready; the first version of all has all of the traffic."""
        if self.champion is None:
            self._apply(self.canary, None, 0)
        else:
            self._apply(self.champion, self.canary, percent)

    def promote(self) -> None:
        """Give the canary all of the traffic: its running pods become the champion's."""
        self._apply(self.canary, None, 0)

    def restore(self) -> None:
        """Give the champion all of the traffic; the canary's pods go."""
        if self.champion is None:
            self.say(f"{self.settings.name}: nothing was in production before; remove the InferenceService")
        else:
            self._apply(self.champion, None, 0)

    def snapshot(self, side: Side) -> Snapshot:
        """A side's counters, of all its pods."""
        prefix = self._pods(side)
        return pods_snapshot(self.settings.prometheus, self.settings.namespace, prefix)

    def gone(self, side: Side) -> str | None:  # noqa: ARG002 (its metrics tell in time)
        """Nothing is gone for good in a cluster: what does not answer is started again."""
        return None

    def address(self) -> str:
        """Where the canary is reached itself, past the split.

        Raises:
            RolloutError: KServe tells no address of it.
        """
        if self.settings.canary_address:
            return self.settings.canary_address.rstrip("/")
        space = self.settings.namespace
        if self.settings.mode == "standard":
            name = f"{self.settings.name}-{predictor_name(self.canary)}-predictor"
            return f"http://{name}.{space}.svc.cluster.local"
        for part in self._predictor().get("traffic", []):
            if part.get("tag") == "latest" and part.get("url"):
                return str(part["url"]).rstrip("/")
        raise RolloutError(
            "KServe tells no address of the newest revision",
            remedy="set canary_address in deploy/serving.yaml",
        )

    def _apply(self, champion: Pinned, canary: Pinned | None, percent: int) -> None:
        bodies = serving_objects(self.settings, champion, canary, percent)
        applied = [self.objects.apply(body) for body in bodies][-1]
        found = self.objects.wait_ready(
            applied, timeout=self.ready_seconds, poll=self.poll_seconds, say=self.say
        )
        self._status = found.get("status", {})

    def _predictor(self) -> dict[str, Any]:
        found: dict[str, Any] = (self._status or {}).get("components", {}).get("predictor", {})
        return found

    def _pods(self, side: Side) -> str:
        """What the names of a side's pods begin with."""
        version = self.canary if side == "canary" else self.champion
        assert version is not None
        if self.settings.mode == "standard":
            return f"{self.settings.name}-{predictor_name(version)}-predictor"
        word = "latestReadyRevision" if side == "canary" else "latestRolledoutRevision"
        return f"{self._predictor().get(word) or 'none'}-deployment"
