"""The promotion pipeline's tasks against a registry, an API server and a Prometheus on loopback."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.kubernetes.serving_cluster import Cluster, serving
from tests.registry.made import NAME, ROLES, World, rules
from tests.rollout.conftest import QUICK
from tests.rollout.prometheus import Prometheus, scraping

from trace_retriever.config.deploy import DeploySettings
from trace_retriever.config.promotion import Role
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.kubernetes.serving_api import ServingObjects
from trace_retriever.registry.errors import NotAllowed
from trace_retriever.registry.registry import VARIABLE
from trace_retriever.registry.types import Act, State
from trace_retriever.rollout.arguments import as_argument, section_from
from trace_retriever.rollout.cluster import ClusterTarget, pinned
from trace_retriever.rollout.errors import ChampionLost, RolledBack, RolloutError
from trace_retriever.rollout.packages import publish
from trace_retriever.rollout.promotion import (
    USER,
    approved_component,
    publish_component,
    rollout_component,
)

SETTLED = QUICK.model_copy(update={"poll_seconds": 0.01, "step_seconds": 0.0, "ready_seconds": 10.0})


@dataclass
class Output:
    """A component's artifact."""

    path: str
    uri: str = ""

    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Setup:
    """All that a run has to do with."""

    world: World
    cluster: Cluster
    prometheus: Prometheus
    settings: DeploySettings
    folder: Path

    @property
    def manifest(self) -> str:
        return self.world.registry.version(NAME, "2.0.0").digests["manifest"]

    def state(self) -> State:
        return self.world.registry.version(NAME, "2.0.0").state

    def what(self, **changed: Any) -> dict[str, Any]:
        allowed = as_argument(rules(roles={**ROLES, USER: (Role.DEPLOYER,)}))
        given = {"name": NAME, "version": "2.0.0", "manifest": self.manifest, "rules": allowed}
        return given | changed

    def roll_out(self, **changed: Any) -> str:
        summary = Output(str(self.folder / "summary.md"))
        rollout_component(
            **self.what(**changed),
            rollout=as_argument(SETTLED),
            serving=as_argument(self.settings),
            summary=summary,
        )
        return Path(summary.path).read_text()

    def service(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects["InferenceService", "trace-retriever"]["spec"]
        return found


@pytest.fixture
def setup(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setup]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv(VARIABLE, f"sqlite:///{tmp_path}/registry.db")
    cluster = Cluster(waits=0)
    with scraping() as prometheus, serving(tmp_path, cluster) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        content = {
            "image": "registry.example/trace:1",
            "packages": "s3://models/packages",
            "store_path": str(tmp_path / "packages"),
            "prometheus": prometheus.address,
            "champion": {"version": "0.0.1", "manifest": "sha256:" + "0" * 64},
        }
        settings = DeploySettings.model_validate_json(json.dumps(content))
        yield Setup(world, cluster, prometheus, settings, tmp_path)


def prefix(setup: Setup, version: str) -> str:
    digest = setup.world.registry.version(NAME, version).digests["manifest"].removeprefix("sha256:")
    return f"trace-retriever-m-{digest[:12]}-predictor"


def percents(setup: Setup) -> list[int | None]:
    """The canary's part in each InferenceService that was applied."""
    bodies = [body for body in setup.cluster.applied if body["kind"] == "InferenceService"]
    return [body["spec"].get("canary", [{}])[0].get("trafficPercent") for body in bodies]


def test_a_good_version_gets_all_of_the_traffic(setup: Setup) -> None:
    setup.prometheus.down = 2  # looks that fail now and then are no verdict
    assert "in production" in setup.roll_out()
    assert setup.state() is State.PRODUCTION
    assert percents(setup) == [50, None]
    assert setup.service()["predictor"]["model"]["storageUri"].endswith(
        setup.manifest.removeprefix("sha256:")
    )
    last = setup.world.registry.log()[-1]
    assert (last.act, last.actor) == (Act.PROMOTE, USER)


def test_a_bad_one_goes_back_and_the_task_fails(setup: Setup) -> None:
    setup.prometheus.errors[prefix(setup, "2.0.0")] = 0.6
    with pytest.raises(RolledBack, match="errors: "):
        setup.roll_out()
    assert setup.state() is State.RETIRED
    champion = setup.world.registry.champion(NAME)
    assert champion is not None
    assert champion.version == "1.0.0"
    assert percents(setup)[-1] is None
    digest = champion.digests["manifest"].removeprefix("sha256:")
    assert setup.service()["predictor"]["model"]["storageUri"].endswith(digest)
    assert "sent back at 50 %" in (setup.folder / "summary.md").read_text()


def test_one_that_is_never_ready_goes_back(setup: Setup) -> None:
    setup.cluster.never = "image cannot be pulled"
    short = SETTLED.model_copy(update={"ready_seconds": 0.1})
    with pytest.raises(Exception, match="image cannot be pulled"):
        rollout_component(
            **setup.what(),
            rollout=as_argument(short),
            serving=as_argument(setup.settings),
            summary=Output(str(setup.folder / "s")),
        )
    assert setup.state() is State.RETIRED


def test_a_task_that_was_killed_is_taken_up_again(setup: Setup) -> None:
    world = setup.world
    world.registry.start_canary(NAME, "2.0.0", by=world.who("dea"), why="the pod was killed after this")
    setup.roll_out()
    assert setup.state() is State.PRODUCTION


def test_metrics_that_are_never_there_send_it_back(setup: Setup) -> None:
    setup.prometheus.down = 10_000
    with pytest.raises(RolledBack, match="no metrics of the"):
        setup.roll_out()
    assert setup.state() is State.RETIRED


def test_a_champion_without_metrics_is_no_fault_of_the_canary(setup: Setup) -> None:
    setup.prometheus.silent.add(prefix(setup, "1.0.0"))
    with pytest.raises(ChampionLost, match="no metrics of the champion in 20 looks"):
        setup.roll_out()
    assert setup.state() is State.CANARY
    assert percents(setup)[-1] == 0
    setup.prometheus.silent.clear()
    assert "in production" in setup.roll_out()


def test_another_digest_is_refused_before_anything_is_applied(setup: Setup) -> None:
    other = "sha256:" + "9" * 64
    with pytest.raises(RolloutError, match="this run is about"):
        approved_component(**setup.what(manifest=other), summary=Output(str(setup.folder / "s")))
    with pytest.raises(RolloutError, match="this run is about"):
        setup.roll_out(manifest=other)
    assert setup.cluster.applied == []
    assert setup.state() is State.APPROVED


def test_what_nobody_approved_is_refused(setup: Setup) -> None:
    version = setup.world.candidate("3.0.0")
    what = setup.what(version="3.0.0", manifest=version.digests["manifest"])
    with pytest.raises(RolloutError, match="is candidate, not approved"):
        approved_component(**what, summary=Output(str(setup.folder / "s")))


def test_a_pipeline_without_the_role_may_not(setup: Setup) -> None:
    with pytest.raises(NotAllowed):
        setup.roll_out(rules=as_argument(rules()))
    assert setup.cluster.applied == []
    assert setup.state() is State.APPROVED


def test_a_pod_without_a_registry_says_what_to_set(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigError, match="fill it from a Secret"):
        setup.roll_out()


def test_a_package_is_published_once_whole_and_under_its_digest(setup: Setup) -> None:
    model = Output(setup.world.registry.version(NAME, "2.0.0").package)
    publish_component(model, setup.manifest, as_argument(setup.settings))
    target = setup.folder / "packages" / setup.manifest.removeprefix("sha256:")
    assert publish(Path(model.path), setup.manifest, str(target)) == 0
    (target / "manifest.json").unlink()  # as a copy that was cut off leaves it
    assert publish(Path(model.path), setup.manifest, str(target)) > 1
    with pytest.raises(DataError):
        publish(Path(model.path), "sha256:" + "9" * 64, str(target))
    (target / "manifest.json").write_text("{}")
    with pytest.raises(RolloutError, match="another manifest"):
        publish(Path(model.path), setup.manifest, str(target))


def test_settings_arrive_as_they_were_given(setup: Setup) -> None:
    assert section_from(DeploySettings, as_argument(setup.settings), "serving") == setup.settings
    with pytest.raises(ConfigError, match="argument serving"):
        section_from(DeploySettings, {"surprise": 1}, "serving")


def test_the_first_version_of_all_has_the_service_to_itself(setup: Setup) -> None:
    version = setup.world.registry.version(NAME, "2.0.0")
    objects = ServingObjects(setup.settings.namespace)
    target = ClusterTarget(setup.settings, objects, None, pinned(version), print, 10.0, 0.01)
    target.set_percent(100)
    assert percents(setup) == [None]
    assert not target.has_champion
    assert target.address().startswith("http://trace-retriever-m-")


def test_a_task_that_was_killed_after_it_had_decided_ends_as_it_would_have(setup: Setup) -> None:
    assert "in production" in setup.roll_out()
    applied = len(setup.cluster.applied)
    (setup.folder / "summary.md").unlink()
    assert "in production" in setup.roll_out()
    assert len(setup.cluster.applied) == applied


def test_one_that_was_sent_back_stays_so_with_the_reason_when_the_task_is_tried_again(setup: Setup) -> None:
    setup.prometheus.errors[prefix(setup, "2.0.0")] = 0.6
    with pytest.raises(RolledBack):
        setup.roll_out()
    applied = len(setup.cluster.applied)
    with pytest.raises(RolledBack, match=r"2\.0\.0 was sent back: errors: "):
        setup.roll_out()
    assert len(setup.cluster.applied) == applied
