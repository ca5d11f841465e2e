"""Compiled pipelines are current, hold all steps, and carry the cluster settings."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from trace_retriever.config.cluster import ClusterSettings, load_cluster
from trace_retriever.kubeflow.compiled import Compiled, compile_all, compiled_path, drifted, pipeline_names
from trace_retriever.kubeflow.local_worker import for_this_machine
from trace_retriever.step import STEPS

PIPELINES = ROOT / "pipelines"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def test_what_is_committed_is_what_the_sources_say() -> None:
    assert drifted(ROOT) == []


def test_a_changed_setting_shows_as_drift(tmp_path: Path) -> None:
    for folder in ("pipelines", "components", "deploy"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    cluster = tmp_path / "pipelines/cluster.yaml"
    cluster.write_text(cluster.read_text().replace("memory: 16Gi", "memory: 20Gi"))
    assert drifted(tmp_path) == ["training.kubernetes.yaml", "training.yaml"]


def test_the_training_pipeline_runs_every_step_in_both_variants_and_always_reports() -> None:
    spec = Compiled.load(compiled_path(PIPELINES, "training")).spec
    executors = {
        name.removeprefix("exec-").rstrip("-0123456789") for name in spec["deploymentSpec"]["executors"]
    }
    assert executors == {*STEPS, "pull", "report"}
    root = spec["root"]["dag"]["tasks"]
    assert root["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    parameters = Compiled.load(compiled_path(PIPELINES, "training")).parameters
    assert set(parameters) == {*STEPS, "parts", "champion"}
    assert parameters["champion"]["defaultValue"] == ""


@pytest.mark.parametrize("name", pipeline_names(PIPELINES))
def test_tasks_have_the_image_and_the_memory_of_the_settings(name: str) -> None:
    settings, spec = (
        load_cluster(PIPELINES / "cluster.yaml"),
        Compiled.load(compiled_path(PIPELINES, name)).spec,
    )
    for executor, about in spec["deploymentSpec"]["executors"].items():
        step = executor.removeprefix("exec-").rstrip("-0123456789")
        container = about["container"]
        assert container["image"] == settings.image(step)
        assert container["resources"]["resourceMemoryLimit"] == settings.pod(step).memory


@pytest.fixture(scope="module")
def several_machines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Cluster settings with training on two machines, and the training pipeline compiled for them."""
    folder = tmp_path_factory.mktemp("several")
    content: dict[str, Any] = yaml.safe_load((PIPELINES / "cluster.yaml").read_text())
    content |= {"multi_node": {"nodes": 2, "processes_per_node": 4}, "ledger": "s3://team/runs"}
    content["steps"]["train"] = {
        "image": "gpu",
        "memory": "64Gi",
        "shared_memory": "16Gi",
        "accelerator": {"count": 4},
        "node_selector": {"pool": "gpu"},
        "volumes": [{"claim": "work", "path": "/shared"}],
        "work_volume": "/shared/work",
        "timeout_seconds": 3600,
    }
    (folder / "cluster.yaml").write_text(yaml.safe_dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACE_CLUSTER", str(folder / "cluster.yaml"))
        (folder / "training.yaml").write_text(compile_all(ROOT)["training.yaml"])
    return folder / "cluster.yaml", folder / "training.yaml"


def test_the_train_task_of_several_machines_is_small_and_knows_its_train_job(
    several_machines: tuple[Path, Path],
) -> None:
    cluster, training = several_machines
    settings, compiled = load_cluster(cluster), Compiled.load(training)
    executors = compiled.spec["deploymentSpec"]["executors"]
    extras = compiled.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, about in executors.items():
        environment = {item["name"] for item in about["container"]["env"]}
        assert ("TRACE_TRAIN_CLUSTER" in environment) == name.startswith("exec-train")
    container, around = executors["exec-train"]["container"], extras["exec-train"]
    assert container["image"] == settings.images["cpu"]
    assert "accelerator" not in container["resources"]
    assert container["resources"]["resourceMemoryLimit"] == "4Gi"
    assert not {"nodeSelector", "emptyDirMounts"} & set(around)
    assert around["pvcMount"][0]["mountPath"] == "/shared"
    fields = {item["name"]: item["fieldPath"] for item in around["fieldPathAsEnv"]}
    assert fields["TRACE_NAMESPACE"] == "metadata.namespace"
    assert (fields["TRACE_POD_NAME"], fields["TRACE_POD_UID"]) == ("metadata.name", "metadata.uid")
    [given] = [item["value"] for item in container["env"] if item["name"] == "TRACE_TRAIN_CLUSTER"]
    handed = ClusterSettings.model_validate_json(given)
    assert handed.pod("train") == settings.pod("train")
    assert handed.multi_node == settings.multi_node
    assert set(handed.steps) == {"train"}


def test_a_run_on_this_machine_takes_no_place_of_the_cluster(several_machines: tuple[Path, Path]) -> None:
    _, training = several_machines
    spec, platform = yaml.safe_load_all(for_this_machine(training))
    before, same = yaml.safe_load_all(training.read_text())
    assert platform == same
    for name, about in spec["deploymentSpec"]["executors"].items():
        assert [item["name"] for item in about["container"].pop("env")] == ["OMP_NUM_THREADS"]
        there = before["deploymentSpec"]["executors"][name]["container"]
        assert "TRACE_LEDGER" in {item["name"] for item in there.pop("env")}
    assert spec == before


def test_settings_reach_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load((PIPELINES / "cluster.yaml").read_text())
    content |= {"dvc_remote": "s3://team/dvc", "ledger": "s3://team/runs", "image_pull_secrets": ["pull"]}
    content["steps"]["pull"] = {
        "accelerator": {"resource": "nvidia.com/gpu", "count": 2},
        "node_selector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
        "secrets": [{"secret": "s3", "key": "id", "variable": "AWS_ACCESS_KEY_ID"}],
        "volumes": [{"claim": "work", "path": "/work"}],
        "work_volume": "/work/trace",
        "shared_memory": "1Gi",
        "retries": 3,
        "caching": False,
        "timeout_seconds": 600,
    }
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("TRACE_CLUSTER", str(cluster))
    spec, platform = yaml.safe_load_all(compile_all(ROOT)["promotion.yaml"])
    container = spec["deploymentSpec"]["executors"]["exec-pull"]["container"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    assert container["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert environment["TRACE_DVC_REMOTE"] == "s3://team/dvc"
    assert environment["TRACE_LEDGER"] == "s3://team/runs"
    assert environment["TRACE_WORK"] == "/work/trace"
    extras = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-pull"]
    assert extras["nodeSelector"] == {"labels": {"pool": "gpu"}}
    assert extras["tolerations"][0]["key"] == "gpu"
    assert extras["secretAsEnv"][0]["keyToEnv"][0]["envVar"] == "AWS_ACCESS_KEY_ID"
    assert extras["pvcMount"][0]["mountPath"] == "/work"
    assert extras["emptyDirMounts"][0]["medium"] == "Memory"
    assert extras["imagePullSecret"][0]["secretName"] == "pull"
    [chain] = [
        about["dag"] for name, about in spec["components"].items() if name.startswith("comp-exit-handler")
    ]
    assert chain["tasks"]["pull"]["retryPolicy"]["maxRetryCount"] == 3
    assert chain["tasks"]["pull"]["cachingOptions"] == {}
