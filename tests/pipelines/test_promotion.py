"""The promotion pipeline run whole by KFP on this machine: a trained version, and servers on loopback."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pytest
import yaml
from tests.conftest import ROOT
from tests.contracts.s3 import CREDENTIALS, object_store
from tests.kubernetes.serving_cluster import Cluster, serving
from tests.registry.made import ANN, BEN, DEA, NAME, ROLES
from tests.rollout.prometheus import Prometheus, scraping
from tests.serving.running import Running
from tests.story.toy import Story

from trace_retriever.cli import main
from trace_retriever.config.promotion import RegistryRules, Role, load_promotion
from trace_retriever.config.serve import ServeSettings
from trace_retriever.errors import Refused
from trace_retriever.io.files import read_json
from trace_retriever.kubeflow.compiled import compile_all
from trace_retriever.kubeflow.remote import ENDPOINT, REMOTE, Remote
from trace_retriever.model.bundle import load_model
from trace_retriever.registry.registry import VARIABLE, Registry, open_registry
from trace_retriever.registry.types import Act, State, Version
from trace_retriever.rollout.promotion import USER
from trace_retriever.serving.identity import identify
from trace_retriever.serving.service import Service
from trace_retriever.serving.worker import Worker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # moto's server threads
]
TASKS = ("approved", "pull", "verify", "publish", "canary", "rollout")
WORSE, BETTER = "0.2.0", "0.3.0"
QUICK = {
    "steps": [50],
    "step_seconds": 0,
    "poll_seconds": 0.01,
    "min_requests": 40,
    "max_error_increase": 0.15,
    "ready_seconds": 300,
    "smoke": {"requests": 10, "rate": 20},
}


@dataclass(frozen=True)
class Platform:
    """What the pipeline's tasks talk to.

    Attributes:
        root: holds pipelines compiled for these servers.
        digests: version → md5 of its package in the DVC remote.
        store: the object store's file system, to look at.
    """

    root: Path
    registry: Registry
    cluster: Cluster
    prometheus: Prometheus
    digests: dict[str, str]
    store: Any

    def run(self, version: str) -> Path:
        """`trace pipeline run promotion` of a version; returns the run's directory."""
        found, out = self.registry.version(NAME, version), self.root / "runs" / version
        given = {"model": self.digests[version], "manifest": found.digests["manifest"]}
        given |= {"name": NAME, "version": version}
        arguments = [part for key, value in given.items() for part in ("--arg", f"{key}={value}")]
        pipelines = ("--pipelines", str(self.root / "pipelines"))
        main(["pipeline", "run", "promotion", "--out", str(out), *pipelines, *arguments])
        return out

    def state(self, version: str) -> State:
        return self.registry.version(NAME, version).state

    def prefix(self, version: str) -> str:
        """What the names of a version's pods begin with."""
        return f"trace-retriever-m-{self.hex(version)[:12]}-predictor"

    def champion(self) -> str:
        found = self.registry.champion(NAME)
        assert found is not None
        return found.version

    def served(self) -> str:
        """Digits of the manifest that the cluster gives all of the traffic to."""
        spec = self.cluster.objects["InferenceService", "trace-retriever"]["spec"]
        assert "canary" not in spec
        return str(spec["predictor"]["model"]["storageUri"]).rpartition("/")[2]

    def hex(self, version: str) -> str:
        return self.registry.version(NAME, version).digests["manifest"].removeprefix("sha256:")


@pytest.fixture(scope="module")
def platform(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One version in production and two that were approved, with all that a rollout in a cluster wants."""
    root = tmp_path_factory.mktemp("platform")
    champion = story.out("register")
    packages = [champion, *(story.candidate(version, champion) for version in (WORSE, BETTER))]
    with ExitStack() as stack:
        store = stack.enter_context(object_store())
        prometheus, cluster = stack.enter_context(scraping()), Cluster(waits=0)
        kubeconfig = stack.enter_context(serving(root, cluster))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        variables = {
            **CREDENTIALS,
            ENDPOINT: store,
            REMOTE: "s3://models/dvc",
            VARIABLE: f"sqlite:///{root}/registry.db",
            "KUBECONFIG": str(kubeconfig),
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        canary = stack.enter_context(Running(served(packages[-1])))
        rules = compiled_for(root, {"prometheus": prometheus.address, "canary_address": canary.url})
        registry = stack.enter_context(open_registry(variables[VARIABLE], rules, store=root / "store"))
        versions = [approved(registry, package) for package in packages]
        registry.start_canary(NAME, versions[0].version, by=registry.actor(DEA), why="the first of all")
        registry.promote(NAME, versions[0].version, by=registry.actor(DEA), why="the first of all")
        remote = Remote("s3://models/dvc", store)
        new = zip(versions[1:], packages[1:], strict=True)
        digests = {version.version: remote.push(package) for version, package in new}
        yield Platform(
            root, registry, cluster, prometheus, digests, fsspec.filesystem("s3", endpoint_url=store)
        )


def served(package: Path) -> Service:
    """What the cluster would serve: the registered model behind the inference protocol."""
    return Service(Worker(load_model(package), ServeSettings()), identify(package), None)


def compiled_for(root: Path, servers: dict[str, Any]) -> RegistryRules:
    """Compile the checkout's pipeline for these servers, roles and quick steps; returns the rules."""
    for folder in ("components", "deploy"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "pipelines/compiled").mkdir(parents=True)
    for name in ("__init__.py", "cluster.yaml", "settings.py", "promotion.py"):
        shutil.copyfile(ROOT / "pipelines" / name, root / "pipelines" / name)
    shutil.copyfile(ROOT / "params.yaml", root / "params.yaml")
    roles = {who: [role.value for role in given] for who, given in {**ROLES, USER: (Role.DEPLOYER,)}.items()}
    for name, changed in (
        ("serving.yaml", servers),
        ("promotion.yaml", {"registry": {"roles": roles}, "rollout": QUICK}),
    ):
        content = yaml.safe_load((ROOT / "deploy" / name).read_text()) | changed
        (root / "deploy" / name).write_text(yaml.safe_dump(content))
    for name, text in compile_all(root).items():
        (root / "pipelines/compiled" / name).write_text(text)
    return load_promotion(root / "deploy/promotion.yaml").registry


def approved(registry: Registry, package: Path) -> Version:
    """Registered by ann, approved by ben."""
    version = registry.register(package, by=registry.actor(ANN))
    asked = registry.request(version, by=registry.actor(ANN), why="newer")
    registry.approve(
        asked.id, by=registry.actor(BEN), why="looked at it", evidence=version.digests["evidence"]
    )
    return version


def states(run: Path) -> dict[str, str]:
    """Task → how it ended, by the run's record."""
    return {task["step"]: task["state"] for task in read_json(run / "run.json")["tasks"]}


def test_one_with_bad_metrics_goes_back_and_the_run_says_why(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.prometheus.errors[platform.prefix(WORSE)] = 0.6
    with pytest.raises(SystemExit) as stopped:
        platform.run(WORSE)
    assert stopped.value.code == Refused.exit_code
    assert "of the canary, 0/60 of the champion" in capsys.readouterr().err
    run = platform.root / "runs" / WORSE
    assert states(run) == dict.fromkeys(TASKS, "done") | {"rollout": "refused"}
    assert platform.state(WORSE) is State.RETIRED
    assert platform.served() == platform.hex(platform.champion())
    last = platform.registry.log()[-1]
    assert (last.act, last.actor) == (Act.ABORT, USER)
    assert "errors: " in last.details["why"]
    [report] = run.glob("artifacts/*/report/summary")
    assert "refused" in report.read_text()


def test_a_good_one_takes_over_all_of_the_traffic(platform: Platform) -> None:
    before = platform.champion()
    run = platform.run(BETTER)
    assert states(run) == dict.fromkeys(TASKS, "done")
    assert platform.champion() == BETTER
    assert platform.state(before) is State.RETIRED
    assert platform.served() == platform.hex(BETTER)
    assert platform.store.exists(f"models/trace/packages/{platform.hex(BETTER)}/manifest.json")
    tried = next(task for task in read_json(run / "run.json")["tasks"] if task["step"] == "canary")
    assert tried["metrics"]["references"]["wrong"] == tried["metrics"]["load"]["wrong"] == 0
    assert tried["metrics"]["references"]["ok"] > 0
    acts = [entry.act for entry in platform.registry.history(NAME, BETTER)]
    assert acts == [Act.REGISTER, Act.REQUEST, Act.APPROVE, Act.CANARY, Act.PROMOTE]
    assert platform.registry.verify_log() == len(platform.registry.log())
