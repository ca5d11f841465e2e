"""Compiled pipelines are current, hold all steps, and carry the cluster settings."""

import shutil
from pathlib import Path

import pytest
import yaml
from tests.conftest import ROOT

from trace_retriever.config.cluster import load_cluster
from trace_retriever.kubeflow.compiled import Compiled, compile_all, compiled_path, drifted, pipeline_names
from trace_retriever.step import STEPS

PIPELINES = ROOT / "pipelines"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def test_what_is_committed_is_what_the_sources_say() -> None:
    assert drifted(ROOT) == []


def test_a_changed_setting_shows_as_drift(tmp_path: Path) -> None:
    for folder in ("pipelines", "components"):
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
    assert executors == {*STEPS, "report"}
    root = spec["root"]["dag"]["tasks"]
    assert root["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    parameters = Compiled.load(compiled_path(PIPELINES, "training")).parameters
    assert set(parameters) == {*STEPS, "parts"}


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
