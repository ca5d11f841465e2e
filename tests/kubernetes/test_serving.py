"""Serving objects: rendered, held against KServe's schemas, applied over HTTP, waited for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kubernetes.crds import builtin_faults, faults
from tests.kubernetes.serving_cluster import Cluster, serving
from tests.kubernetes.test_manifests import INLINE, ROOT

from trace_retriever.config.deploy import DeploySettings, Pinned, load_deploy
from trace_retriever.errors import ConfigError
from trace_retriever.kubernetes.client import ClusterError
from trace_retriever.kubernetes.inference_service import inference_service, predictor_name, serving_objects
from trace_retriever.kubernetes.serving_api import ServingObjects
from trace_retriever.kubernetes.serving_manifests import serving_manifests
from trace_retriever.kubernetes.serving_rights import serving_rights

OLD = Pinned(version="1.0.0", manifest="sha256:" + "a" * 64)
NEW = Pinned(version="2.0.0", manifest="sha256:" + "b" * 64)


def settings(**changed: Any) -> DeploySettings:
    """Settings that use everything there is."""
    content = {
        "image": "registry.example/trace@sha256:" + "c" * 64,
        "image_pull_secrets": ["registry"],
        "packages": "s3://models/packages/",
        "storage_secret": "s3",
        "embeddings": "/vectors/{manifest}",
        "dataset": "/data/mbeir",
        "prometheus": "http://prometheus:9090",
        "pod": {
            "accelerator": {"count": 1},
            "node_selector": {"pool": "gpu"},
            "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
            "volumes": [{"claim": "vectors", "path": "/vectors"}, {"claim": "data", "path": "/data"}],
            "secrets": [{"secret": "serving", "key": "token", "variable": "TRACE_ADMIN_TOKEN"}],
        },
        "serve": {"slots": 8, "max_waiting": 64},
        "champion": OLD.model_dump(),
        **changed,
    }
    return DeploySettings.model_validate_json(json.dumps(content))


@pytest.mark.parametrize("mode", ["standard", "serverless"])
@pytest.mark.parametrize("canary", [None, NEW])
def test_objects_pass_the_schemas_with_unknown_fields_refused(mode: Any, canary: Pinned | None) -> None:
    runtime, budget, service = serving_objects(settings(mode=mode), OLD, canary, 5 if canary else 0)
    assert faults(runtime) == []
    assert builtin_faults(budget) == []
    assert faults(service) == []
    service["spec"]["predictor"]["surprise"] = 1
    assert any("surprise" in fault for fault in faults(service))


def test_standard_mode_splits_by_spec_canary_and_scales_on_the_queues() -> None:
    service = inference_service(settings(), OLD, NEW, 25)
    annotations = service["metadata"]["annotations"]
    assert annotations["serving.kserve.io/deploymentMode"] == "Standard"
    assert annotations["serving.kserve.io/autoscalerClass"] == "keda"
    [canary] = service["spec"]["canary"]
    assert canary["trafficPercent"] == 25
    assert canary["predictor"]["model"]["name"] == "kserve-container"
    assert canary["predictor"]["model"]["storageUri"] == f"s3://models/packages/{'b' * 64}"
    assert not {"autoScaling", "maxReplicas"} & set(canary["predictor"]), "KServe's webhook refuses these"
    [metric] = service["spec"]["predictor"]["autoScaling"]["metrics"]
    assert "trace_queue_length" in metric["external"]["metric"]["query"]
    assert metric["external"]["metric"]["serverAddress"] == "http://prometheus:9090"
    assert "canaryTrafficPercent" not in service["spec"]["predictor"]


def test_a_promoted_canary_keeps_the_name_of_its_pods() -> None:
    during, after = inference_service(settings(), OLD, NEW, 50), inference_service(settings(), NEW)
    assert after["spec"]["predictor"]["name"] == during["spec"]["canary"][0]["predictor"]["name"]
    assert predictor_name(OLD) != predictor_name(NEW)
    assert "canary" not in after["spec"]


def test_serverless_mode_gives_the_new_revision_its_part() -> None:
    predictor = inference_service(settings(mode="serverless"), OLD, NEW, 25)["spec"]["predictor"]
    assert predictor["canaryTrafficPercent"] == 25
    assert predictor["model"]["storageUri"].endswith("b" * 64)
    assert not {"canary", "autoScaling"} & set(predictor)
    back = inference_service(settings(mode="serverless"), OLD)["spec"]["predictor"]
    assert "canaryTrafficPercent" not in back
    assert back["model"]["storageUri"].endswith("a" * 64)


def test_the_server_checks_the_digest_that_was_approved_and_finds_that_versions_vectors() -> None:
    arguments = inference_service(settings(), OLD)["spec"]["predictor"]["model"]["args"]
    assert f"--manifest={OLD.manifest}" in arguments
    assert f"--embeddings=/vectors/{'a' * 64}" in arguments


def test_every_option_is_one_that_trace_serve_takes() -> None:
    from trace_retriever.serving.commands import serve_command

    runtime, _, service = serving_objects(settings(), OLD)
    [container] = runtime["spec"]["containers"]
    assert container["command"] == ["trace", "serve"]
    given = [*container["args"], *service["spec"]["predictor"]["model"]["args"]]
    context = serve_command.make_context("serve", list(given))
    assert context.params["http_port"] == container["readinessProbe"]["httpGet"]["port"]
    assert context.params["overrides"] == ("max_waiting=64", "slots=8")


def test_pods_run_without_root_without_a_token_on_a_read_only_root() -> None:
    runtime, _, service = serving_objects(settings(), OLD)
    predictor = service["spec"]["predictor"]
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["securityContext"]["runAsNonRoot"]
    [container] = runtime["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["mountPath"] != "/tmp")
    assert container["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "serving", "key": "token"}


def test_rights_are_the_least() -> None:
    account, role, binding = serving_rights(settings(), "pipeline-runner")
    assert all(builtin_faults(body) == [] for body in (account, role, binding))
    assert account["automountServiceAccountToken"] is False
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    assert verbs == {"get", "patch", "create"}
    assert all("resourceNames" in rule for rule in role["rules"] if rule["verbs"] != ["create"])
    resources = {name for rule in role["rules"] for name in rule["resources"]}
    assert resources == {"inferenceservices", "servingruntimes", "poddisruptionbudgets"}


def test_committed_manifests_are_current_and_hold_no_secret() -> None:
    files = serving_manifests(load_deploy(ROOT / "deploy/serving.yaml"))
    assert {path.name for path in (ROOT / "deploy/serving").iterdir()} == set(files)
    for name, text in files.items():
        assert (ROOT / "deploy/serving" / name).read_text() == text, f"{name}: run `trace deploy render`"
        assert not INLINE.search(text), name
        assert not [body for body in yaml.safe_load_all(text) if body["kind"] == "Secret"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"canary_percent": 5}, "without a canary"),
        ({"champion": OLD.model_dump(), "canary": OLD.model_dump()}, "the same version"),
        ({"champion": {"version": "1", "manifest": "latest"}}, "should match pattern"),
        ({"packages": "https://example.org/x"}, "should match pattern"),
        ({"grace_seconds": 10}, "draining"),
        ({"serve": {"slot": 8}}, "Extra inputs"),
        ({"dataset": "/elsewhere"}, "none of the volumes"),
        ({"scaling": {"min_replicas": 9}}, "above max_replicas"),
        ({"tokens": "x"}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    content = yaml.safe_load((ROOT / "deploy/serving.yaml").read_text()) | changed
    path = tmp_path / "serving.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=message):
        load_deploy(path)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        load_deploy(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("name: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_deploy(tmp_path / "broken.yaml")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    found = Cluster()
    with serving(tmp_path, found) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        yield found


def applied(canary: Pinned | None = None, timeout: float = 20.0) -> dict[str, Any]:
    objects = ServingObjects("kubeflow-user")
    done = [objects.apply(body) for body in serving_objects(settings(), OLD, canary, 5 if canary else 0)]
    return objects.wait_ready(done[-1], timeout=timeout, poll=0.01, say=lambda _: None)


def test_objects_are_applied_and_waited_for(cluster: Cluster) -> None:
    cluster.trouble = [503, 429]
    found = applied(NEW)
    assert found["status"]["url"] == cluster.url
    assert {kind for kind, _ in cluster.objects} == {
        "ServingRuntime",
        "PodDisruptionBudget",
        "InferenceService",
    }
    assert found["metadata"]["generation"] == 1
    assert applied(NEW)["metadata"]["generation"] == 1, "the same again changes nothing"


def test_what_is_never_ready_is_said_with_the_clusters_own_words(cluster: Cluster) -> None:
    cluster.never = "Revision failed: image cannot be pulled"
    with pytest.raises(ClusterError, match=r"not ready after 0\.2 s: Revision failed"):
        applied(timeout=0.2)


def test_a_canary_that_is_not_ready_is_waited_for(cluster: Cluster) -> None:
    cluster.never = "no"
    with pytest.raises(ClusterError, match="canary m-bbbbbbbbbbbb is not ready"):
        applied(NEW, timeout=0.2)


@pytest.mark.parametrize(
    ("status", "message"), [(401, "log in again"), (403, r"serving/rights\.yaml"), (409, "another manager")]
)
def test_refusals_say_what_to_do(cluster: Cluster, status: int, message: str) -> None:
    cluster.trouble = [status]
    with pytest.raises(ClusterError, match=message):
        applied()


@pytest.mark.usefixtures("cluster")
def test_what_the_schema_does_not_know_is_refused_by_the_server() -> None:
    body = inference_service(settings(), OLD)
    body["spec"]["predictor"]["canaries"] = 1
    with pytest.raises(ClusterError, match="canaries"):
        ServingObjects("kubeflow-user").apply(body)
