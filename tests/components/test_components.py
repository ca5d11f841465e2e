"""Components agree with the table of steps, and are an import and a call."""

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from trace_retriever.config import SECTIONS, section_type
from trace_retriever.kubeflow.pages import metadata, readme
from trace_retriever.step import STEPS

COMPONENTS = ROOT / "components"
OTHERS = {"pull", "report", "verify", "approved", "publish", "canary", "rollout"}
FOLDERS = sorted(path.parent.name for path in COMPONENTS.glob("*/component.py"))
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def load(name: str) -> Any:
    path = COMPONENTS / name / "component.py"
    spec = importlib.util.spec_from_file_location(f"component_{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def test_there_is_a_component_for_each_step() -> None:
    assert set(FOLDERS) == {*STEPS, *OTHERS}
    assert tuple(STEPS) == SECTIONS


@pytest.mark.parametrize("name", STEPS)
def test_a_component_takes_its_steps_inputs_and_fields_of_its_section(name: str) -> None:
    spec, step = load(name).component_spec, STEPS[name]
    artifacts = {key: value for key, value in spec.inputs.items() if "system." in str(value.type)}
    assert set(artifacts) - {"parts"} == {*step.inputs, *step.optional}
    assert {key for key, value in artifacts.items() if value.optional} - {"parts"} == set(step.optional)
    others = set(spec.inputs) - set(artifacts)
    assert "config" in others
    assert others - {"config"} <= set(section_type(name).model_fields)
    assert set(spec.outputs) == {"out", "report", "page", "metrics"}
    assert spec.description == step.summary


@pytest.mark.parametrize("name", FOLDERS)
def test_a_component_is_an_import_and_a_call(name: str) -> None:
    tree = ast.parse((COMPONENTS / name / "component.py").read_text())
    imported = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert set(imported) <= {"kfp", "kfp.dsl"}
    [function] = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    docstring, import_, call = function.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(import_, ast.ImportFrom)
    assert isinstance(call, ast.Expr)
    assert isinstance(call.value, ast.Call)
    container = load(name).component_spec.implementation.container
    assert "pip install" not in " ".join(map(str, container.command))


@pytest.mark.parametrize("name", FOLDERS)
def test_readme_and_metadata_are_what_the_code_says(name: str) -> None:
    folder: Path = COMPONENTS / name
    component = load(name)
    assert (folder / "README.md").read_text() == readme(component, name)
    assert yaml.safe_load((folder / "metadata.yaml").read_text()) == metadata(component, name)
