"""The lint finds what one side refuses, in pipelines that are compiled for real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from trace_retriever.kubeflow.compiled import Compiled
from trace_retriever.kubeflow.lint import lint

COMPILED = sorted(path for path in (ROOT / "pipelines/compiled").glob("*.yaml") if "." not in path.stem)


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.stem)
def test_our_pipelines_are_clean(path: Path) -> None:
    assert lint(Compiled.load(path)) == []


def rename(spec: dict[str, Any], name: str) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    parameters[name] = parameters.pop("manifest")


def container(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["deploymentSpec"]["executors"]["exec-pull"]["container"]
    return found


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    *[
        ("yaml-word", lambda spec, name=name: rename(spec, name))
        for name in ("n", "Y", "yes", "No", "on", "null")
    ],
    ("name", lambda spec: spec["pipelineInfo"].update(name="My_Pipeline")),
    ("container-component", lambda spec: container(spec).update(command=["echo"], args=["hello"])),
    ("pip-install", lambda spec: container(spec)["command"].append("python3 -m pip install torch")),
    ("image", lambda spec: container(spec).update(image="registry:5000/trace")),
    ("image", lambda spec: container(spec).update(image="trace:latest")),
    ("secret", lambda spec: container(spec)["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "x"})),
    ("size", lambda spec: container(spec)["args"].append("x" * 1_100_000)),
]


@pytest.mark.parametrize(("rule", "change"), CHANGES)
def test_what_one_side_refuses_is_found(
    rule: str, change: Callable[[dict[str, Any]], Any], tmp_path: Path
) -> None:
    documents = list(yaml.safe_load_all((ROOT / "pipelines/compiled/promotion.yaml").read_text()))
    change(documents[0])
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    assert [finding.rule for finding in lint(Compiled.load(path))] == [rule]


def test_an_image_by_digest_is_fine(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((ROOT / "pipelines/compiled/promotion.yaml").read_text()))
    container(documents[0])["image"] = "registry:5000/trace@sha256:" + "0" * 64
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump_all(documents))
    assert lint(Compiled.load(path)) == []
