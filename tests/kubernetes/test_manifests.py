"""What is rendered, held against the published schemas, and against what must not be in it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from crds import builtin_faults, faults  # type: ignore[import-not-found]

from trace_retriever.config.cluster import ClusterSettings, load_cluster
from trace_retriever.config.train import TrainConfig
from trace_retriever.errors import ConfigError
from trace_retriever.kubernetes.manifests import manifests
from trace_retriever.kubernetes.rights import rights
from trace_retriever.kubernetes.runtime import training_runtime
from trace_retriever.kubernetes.train_job import train_job

ROOT = Path(__file__).resolve().parents[2]
RESERVED = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
INLINE = re.compile(
    r"(?i)(password|passwd|token|secret|credential|api[-_]?key)\w*\W{1,4}(value\W|[\w/+]{16,})"
    r"|BEGIN [A-Z ]*PRIVATE KEY|AKIA"
)


def job(settings: ClusterSettings) -> dict[str, Any]:
    shared = Path("/shared")
    return train_job(
        "train-1", settings, TrainConfig(processes=8, batch=64), shared / "run", {"dataset": shared / "d"}
    )


def container(settings: ClusterSettings) -> dict[str, Any]:
    [replicated] = training_runtime(settings)["spec"]["template"]["spec"]["replicatedJobs"]
    spec: dict[str, Any] = replicated["template"]["spec"]["template"]["spec"]
    return spec


def test_runtime_and_job_pass_the_schemas_with_unknown_fields_refused(settings: ClusterSettings) -> None:
    assert faults(training_runtime(settings)) == []
    assert faults(job(settings)) == []


@pytest.mark.parametrize("where", [("spec",), ("spec", "trainer"), ("spec", "runtimePatches", 0)])
def test_the_schemas_do_refuse_what_they_do_not_know(
    settings: ClusterSettings, where: tuple[Any, ...]
) -> None:
    body: Any = job(settings)
    inner = body
    for key in where:
        inner = inner[key]
    inner["processes"] = 2
    assert any("processes" in fault for fault in faults(body))


def test_rights_are_objects_that_the_api_knows(settings: ClusterSettings) -> None:
    for body in rights(settings):
        assert builtin_faults(body) == []
    assert builtin_faults({**rights(settings)[0], "surprise": 1})


def test_rights_are_the_least(settings: ClusterSettings) -> None:
    account, role, binding, network = rights(settings)
    assert account["automountServiceAccountToken"] is False
    allowed = {(r, v) for rule in role["rules"] for r in rule["resources"] for v in rule["verbs"]}
    assert allowed == {
        *(("trainjobs", verb) for verb in ("create", "get", "delete")),
        ("pods", "list"),
        ("pods/log", "get"),
    }
    assert role["kind"] == "Role", "no rights outside the namespace"
    assert [s["name"] for s in binding["subjects"]] == [settings.service_account]
    assert network["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_training_pods_run_without_root_without_a_token_on_a_read_only_root(
    settings: ClusterSettings,
) -> None:
    pod = container(settings)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"]
    [node] = pod["containers"]
    assert node["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "shared-memory", "mountPath": "/dev/shm"} in node["volumeMounts"]
    assert {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}} in pod["volumes"]


def test_a_job_gets_what_the_settings_say(settings: ClusterSettings) -> None:
    spec = job(settings)["spec"]
    trainer = spec["trainer"]
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (2, 4)
    assert trainer["resourcesPerNode"]["limits"]["nvidia.com/gpu"] == "4"
    assert trainer["command"][:2] == ["trace", "train"]
    variables = {item["name"]: item for item in trainer["env"]}
    assert variables["NCCL_SOCKET_IFNAME"]["value"] == "eth0"
    assert variables["AWS_SECRET_ACCESS_KEY"]["valueFrom"]["secretKeyRef"] == {
        "name": "s3",
        "key": "password",
    }
    assert not RESERVED & set(variables), "the Trainer's webhook refuses these"
    [patched] = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = patched["template"]["spec"]["template"]["spec"]
    assert [v["persistentVolumeClaim"]["claimName"] for v in pod["volumes"]] == ["work", "data"]
    assert len(pod["containers"][0]["volumeMounts"]) == 3
    assert pod["nodeSelector"] == {"pool": "gpu"}
    assert "env" not in pod["containers"][0], (
        "the Trainer's webhook refuses variables in a patch of its container"
    )


@pytest.mark.parametrize("processes", [4, 16])
def test_params_that_do_not_fit_the_cluster_are_refused(settings: ClusterSettings, processes: int) -> None:
    with pytest.raises(ConfigError, match=f"processes is {processes}; the cluster gives 2 machines x 4"):
        train_job("t", settings, TrainConfig(processes=processes, batch=64), Path("/shared/run"), {})


def test_a_path_that_machines_do_not_share_is_refused(settings: ClusterSettings) -> None:
    with pytest.raises(ConfigError, match="/home/me is on no volume"):
        train_job(
            "t",
            settings,
            TrainConfig(processes=8, batch=64),
            Path("/shared/run"),
            {"dataset": Path("/home/me")},
        )


def test_one_process_a_device() -> None:
    from clusters import cluster  # type: ignore[import-not-found]

    with pytest.raises(ConfigError, match="2 processes on each machine, and 4 devices"):
        training_runtime(cluster(processes_per_node=2))


def test_committed_manifests_are_current_valid_and_hold_no_secret() -> None:
    from trace_retriever.config import load_section

    config = load_section("train", ROOT / "params.yaml")
    assert isinstance(config, TrainConfig)
    files = manifests(load_cluster(ROOT / "pipelines/cluster.yaml"), config)
    settings = {"promotion.yaml", "review.yaml", "serving.yaml"}
    assert {path.name for path in (ROOT / "deploy").glob("*.yaml")} - settings == set(files)
    for name, text in files.items():
        assert (ROOT / "deploy" / name).read_text() == text, f"{name}: run `trace train-job render`"
        for body in yaml.safe_load_all(text):
            assert (faults if "trainer" in body["apiVersion"] else builtin_faults)(body) == []


def test_no_rendered_manifest_holds_a_secrets_value(settings: ClusterSettings) -> None:
    texts = manifests(settings, TrainConfig(processes=8, batch=64))
    compiled = {path.name: path.read_text() for path in sorted((ROOT / "pipelines/compiled").glob("*.yaml"))}
    for name, text in {**texts, **compiled}.items():
        objects = [body for body in yaml.safe_load_all(text) if isinstance(body, dict)]
        assert not [body for body in objects if body.get("kind") == "Secret"], name
        assert not (found := INLINE.search(text)), (name, found)


def test_the_search_for_secrets_finds_some() -> None:
    for text in ("password: hunter2hunter2hunter2", "AKIAIOSFODNN7EXAMPLE", "- name: API_KEY\n  value: abc"):
        assert INLINE.search(text), text
