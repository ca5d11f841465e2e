"""The API server's verdict on an object: the CRD's schema with unknown fields refused."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

FOLDER = Path(__file__).parent / "crds"


@cache
def validator(kind: str) -> Any:
    [file] = [
        path
        for path in FOLDER.glob("*.json")
        if json.loads(path.read_text())["spec"]["names"]["kind"] == kind
    ]
    [version] = json.loads(file.read_text())["spec"]["versions"]
    return jsonschema.Draft7Validator(closed(version["schema"]["openAPIV3Schema"]))


def closed(schema: Any) -> Any:
    """The schema with every object closed that names its properties, as strict field validation does."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if (
        named
        and "additionalProperties" not in schema
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        found["additionalProperties"] = False
    return found


def faults(body: dict[str, Any]) -> list[str]:
    """What a schema finds wrong with an object of one of the kinds in `crds/`."""
    return [
        f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
        for e in validator(body["kind"]).iter_errors(body)
    ]


def builtin_faults(body: dict[str, Any]) -> list[str]:
    """The same for Kubernetes' own kinds: what the client's models drop is unknown to the API."""
    from kubernetes import client

    kinds = {
        "ServiceAccount": "V1ServiceAccount",
        "Role": "V1Role",
        "RoleBinding": "V1RoleBinding",
        "NetworkPolicy": "V1NetworkPolicy",
        "PodDisruptionBudget": "V1PodDisruptionBudget",
    }
    api = client.ApiClient()
    answer = type("Answer", (), {"data": json.dumps(body)})
    back = api.sanitize_for_serialization(api.deserialize(answer, kinds[body["kind"]]))
    return [] if back == body else [f"{body['kind']}: {body} came back as {back}"]
