"""The files of `deploy/serving/`, rendered from `deploy/serving.yaml`."""

from trace_retriever.config.deploy import DeploySettings
from trace_retriever.kubernetes.inference_service import serving_objects
from trace_retriever.kubernetes.manifests import as_yaml
from trace_retriever.kubernetes.serving_rights import serving_rights

HEAD = "# Rendered by `trace deploy render` from deploy/serving.yaml: change that.\n"
DEPLOYER = "pipeline-runner"
MODES = ("standard", "serverless")


def serving_manifests(settings: DeploySettings, deployer: str = DEPLOYER) -> dict[str, str]:
    """File name → YAML: the pinned versions in both modes, and the rights that an administrator grants."""
    pins = (settings.champion, settings.canary, settings.canary_percent)
    files = {
        f"{mode}.yaml": serving_objects(settings.model_copy(update={"mode": mode}), *pins) for mode in MODES
    }
    files["rights.yaml"] = serving_rights(settings, deployer)
    return {name: HEAD + as_yaml(objects) for name, objects in files.items()}
