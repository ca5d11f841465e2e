"""KServe's objects of a served version: runtime, InferenceService, disruption budget; for both modes.

Standard mode splits traffic by `spec.canary` (KServe 0.20) and scales by KEDA on the servers' own queues.
Serverless mode is Knative's: the new revision gets `canaryTrafficPercent`, the one before it the rest.
"""

from typing import Any

from trace_retriever.config.deploy import DeploySettings, Pinned
from trace_retriever.kubernetes.pod import (
    CONTAINER_SECURITY,
    POD_SECURITY,
    SCRATCH,
    claims,
    environment,
    labels,
    resources,
)

API = "serving.kserve.io/v1beta1"
FORMAT, MODEL_PATH = "trace", "/mnt/models"
CONTAINER = "kserve-container"  # KServe looks for it
PORT = 8080
SERVICE_LABEL = "serving.kserve.io/inferenceservice"
ACCOUNT = "trace-serving"
MODES = {"standard": "Standard", "serverless": "Serverless"}


def predictor_name(version: Pinned) -> str:
    """Name of a version's Deployment: of its digest, so that a promoted canary keeps its running pods."""
    return f"m-{version.hex[:12]}"


def serving_runtime(settings: DeploySettings) -> dict[str, Any]:
    """Render the ServingRuntime: how any version is served."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": _meta(settings),
        "spec": {
            "supportedModelFormats": [{"name": FORMAT, "version": "1", "autoSelect": False}],
            "protocolVersions": ["v2", "v1"],
            "multiModel": False,
            "containers": [_container(settings)],
            "volumes": [{"name": SCRATCH, "emptyDir": {}}],
        },
    }


def _container(settings: DeploySettings) -> dict[str, Any]:
    _, mounts = claims(settings.pod.pod())
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": ["trace", "serve"],
        "args": _serve_arguments(settings),
        "env": environment(settings.pod.pod()),
        "ports": [{"name": "http1", "containerPort": PORT, "protocol": "TCP"}],
        "resources": resources(settings.pod.pod()),
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": SCRATCH, "mountPath": "/tmp"},
            *({**mount, "readOnly": True} for mount in mounts),
        ],
        **_probes(settings),
    }


def _serve_arguments(settings: DeploySettings) -> list[str]:
    options = [f"--model={MODEL_PATH}", f"--name={settings.name}", "--host=0.0.0.0", f"--http-port={PORT}"]
    bounds = [f"--set={key}={_yaml(value)}" for key, value in sorted(settings.serve.items())]
    return options + bounds


def _yaml(value: Any) -> str:
    import json

    return json.dumps(value)  # JSON is YAML


def _probes(settings: DeploySettings) -> dict[str, Any]:
    """Ready once warm; alive while it computes; a slow start is no death."""
    ready, live = ({"path": f"/v2/health/{word}", "port": PORT} for word in ("ready", "live"))
    return {
        "startupProbe": {
            "httpGet": ready,
            "periodSeconds": 5,
            "failureThreshold": -(-settings.startup_seconds // 5),
        },
        "readinessProbe": {"httpGet": ready, "periodSeconds": 5, "failureThreshold": 2, "timeoutSeconds": 3},
        "livenessProbe": {"httpGet": live, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
    }


def inference_service(
    settings: DeploySettings, champion: Pinned, canary: Pinned | None = None, percent: int = 0
) -> dict[str, Any]:
    """Render the InferenceService.

    Args:
        settings: of the cluster; `mode` says which form.
        champion: what has the traffic.
        canary: what is tried; None for none.
        percent: the canary's part.
    """
    render = _standard if settings.mode == "standard" else _serverless
    annotations = {"serving.kserve.io/deploymentMode": MODES[settings.mode]}
    if settings.mode == "standard":
        annotations["serving.kserve.io/autoscalerClass"] = "keda"
    else:
        annotations["serving.kserve.io/enable-tag-routing"] = "true"  # the new revision gets an address
    return {
        "apiVersion": API,
        "kind": "InferenceService",
        "metadata": {**_meta(settings), "annotations": annotations},
        "spec": render(settings, champion, canary, percent),
    }


def _standard(
    settings: DeploySettings, champion: Pinned, canary: Pinned | None, percent: int
) -> dict[str, Any]:
    scaling = settings.scaling
    spec: dict[str, Any] = {
        "predictor": {
            "name": predictor_name(champion),
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "autoScaling": {"metrics": [_queue_metric(settings)]},
            "deploymentStrategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            **_pod(settings),
            "model": _model(settings, champion),
        }
    }
    if canary is not None:
        # What it does not say it has from the predictor; KServe takes no autoscaling here.
        tried = {
            "name": predictor_name(canary),
            "minReplicas": scaling.canary_replicas,
            "model": _model(settings, canary),
        }
        spec["canary"] = [{"trafficPercent": percent, "predictor": tried}]
    return spec


def _serverless(
    settings: DeploySettings, champion: Pinned, canary: Pinned | None, percent: int
) -> dict[str, Any]:
    scaling = settings.scaling
    return {
        "predictor": {
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "scaleMetric": "concurrency",
            "scaleTarget": scaling.concurrency,
            **({"canaryTrafficPercent": percent} if canary is not None else {}),
            **_pod(settings),
            "model": _model(settings, canary or champion),
        }
    }


def _model(settings: DeploySettings, version: Pinned) -> dict[str, Any]:
    arguments = [f"--manifest={version.manifest}"]
    if settings.embeddings:
        arguments.append(f"--embeddings={settings.embeddings.replace('{manifest}', version.hex)}")
        arguments += [f"--dataset={settings.dataset}"] if settings.dataset else []
    return {
        "name": CONTAINER,
        "modelFormat": {"name": FORMAT, "version": "1"},
        "runtime": settings.name,
        "protocolVersion": "v2",
        "storageUri": settings.uri(version),
        "args": arguments,  # after the runtime's own
    }


def _pod(settings: DeploySettings) -> dict[str, Any]:
    volumes, _ = claims(settings.pod.pod())
    found: dict[str, Any] = {
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "volumes": volumes,
        "nodeSelector": dict(settings.pod.node_selector),
        "tolerations": [item.model_dump(exclude_none=True) for item in settings.pod.tolerations],
        "imagePullSecrets": [{"name": name} for name in settings.image_pull_secrets],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {SERVICE_LABEL: settings.name}},
            }
        ],
    }
    return {key: value for key, value in found.items() if value not in ({}, [])}


def _queue_metric(settings: DeploySettings) -> dict[str, Any]:
    """The mean over replicas of what waits in one: both queues."""
    pods = f'namespace="{settings.namespace}",pod=~"{settings.name}-.*"'
    return {
        "type": "External",
        "external": {
            "metric": {
                "backend": "prometheus",
                "serverAddress": settings.prometheus,
                "query": f"avg(sum by (pod) (trace_queue_length{{{pods}}}))",
            },
            "target": {"type": "Value", "value": str(settings.scaling.queue_length)},
        },
    }


def disruption_budget(settings: DeploySettings) -> dict[str, Any]:
    """Render the PodDisruptionBudget: a drained machine takes one pod at a time."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _meta(settings),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {SERVICE_LABEL: settings.name}},
        },
    }


def serving_objects(
    settings: DeploySettings, champion: Pinned, canary: Pinned | None = None, percent: int = 0
) -> list[dict[str, Any]]:
    """All that `apply` applies, in order."""
    return [
        serving_runtime(settings),
        disruption_budget(settings),
        inference_service(settings, champion, canary, percent),
    ]


def _meta(settings: DeploySettings) -> dict[str, Any]:
    return {"name": settings.name, "namespace": settings.namespace, "labels": labels("serve")}
