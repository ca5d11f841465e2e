"""A step's faces agree: command, DVC stage, params section, config class and module go by the same names."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from tests.contracts.code import PACKAGE, ROOT, closure, modules

from trace_retriever.cli import trace
from trace_retriever.config import SECTIONS, Section, load_params, load_section, section_type
from trace_retriever.step import STEPS

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PROFILES = [ROOT / "params.yaml", *sorted((ROOT / "profiles").glob("*.yaml"))]
VARIANTS = {"train": ("trace", "encoder"), "embed": ("trace", "encoder")}

# Code that does not decide what a step writes: messages, the table of names, the base of configs, progress.
WITHOUT_EFFECT = {"errors", "step", "config.base", "io.progress"}


def deps(stage: str) -> list[str]:
    return [dep.replace("${code}", str(PACKAGE.relative_to(ROOT))) for dep in STAGES[stage]["deps"]]


def filled(text: str, stage: str) -> list[str]:
    """A stage's text for each of its variants, as DVC's matrix fills it in."""
    return [text.replace("${item.variant}", variant) for variant in VARIANTS.get(stage, ("",))]


def test_steps_commands_stages_sections_and_modules_are_the_same() -> None:
    names = list(STEPS)
    assert list(STAGES) == names
    assert list(SECTIONS) == names
    assert list(load_params(ROOT / "params.yaml")) == names
    assert set(names) <= set(trace.commands)
    assert sorted(path.stem for path in (PACKAGE / "steps").glob("[a-z]*.py")) == sorted(names)
    assert {f"config.{name}" for name in names} <= set(modules())


@pytest.mark.parametrize("name", STEPS)
def test_a_step_function_takes_its_config_and_the_inputs_of_the_table(name: str) -> None:
    step = STEPS[name]
    parameters = inspect.signature(step.function()).parameters
    config, *others = parameters.values()
    assert config.annotation is section_type(name)
    assert {other.name for other in others} == {*step.inputs, *step.optional, "out", "report", "work"}
    assert all(other.kind is inspect.Parameter.KEYWORD_ONLY for other in others)


@pytest.mark.parametrize("name", STEPS)
def test_a_command_has_an_option_for_each_input(name: str) -> None:
    step, command = STEPS[name], trace.commands[name]
    options = {option.opts[0] for option in command.params if isinstance(option, click.Option)}
    inputs = {f"--{key}" for key in (*step.inputs, *step.optional)}
    assert options == inputs | {"--params", "--set", "--out", "--report"}
    assert command.help == step.summary


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_runs_its_command_with_its_section(name: str) -> None:
    stage = STAGES[name]
    assert re.match(rf"trace {name}( |$)", stage["cmd"])
    assert stage["params"] == [name]
    outs = [place for out in stage["outs"] for place in filled(out, name)]
    assert STEPS[name].out in outs
    [metrics] = stage["metrics"]
    [(path, options)] = metrics.items()
    assert path.startswith(STEPS[name].report)
    assert path.endswith("/metrics.json")
    assert options == {"cache": False}


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_depends_on_the_inputs_of_its_step(name: str) -> None:
    step = STEPS[name]
    wanted = {*step.inputs.values(), *(path for path in step.optional.values() if path)}
    found = {place for dep in deps(name) for place in filled(dep, name)}
    assert wanted <= found


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_depends_on_the_code_that_it_runs(name: str) -> None:
    known = modules()
    named = [ROOT / dep for dep in deps(name) if dep.endswith(".py") or (ROOT / dep / "__init__.py").exists()]
    assert all(path.exists() for path in named)
    missing = [
        module
        for module in sorted(closure([f"steps.{name}", f"config.{name}"]) - WITHOUT_EFFECT)
        if not _only_a_docstring(known[module])
        and not any(known[module].is_relative_to(path) for path in named)
    ]
    assert missing == []


@pytest.mark.parametrize("name", STEPS)
def test_a_stage_names_no_code_that_it_does_not_run(name: str) -> None:
    reached = {modules()[module] for module in closure([f"steps.{name}", f"config.{name}"])}
    code = [ROOT / dep for dep in deps(name) if dep.startswith(str(PACKAGE.relative_to(ROOT)))]
    assert code
    assert [path for path in code if not any(module.is_relative_to(path) for module in reached)] == []


def _only_a_docstring(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_a_params_file_holds_only_keys_that_its_types_know(path: Path) -> None:
    content = load_params(path)
    for name in content:
        section = load_section(name, path)
        assert section.model_dump(mode="json", exclude_unset=True) == (content[name] or {})


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.name)
def test_a_params_file_gives_every_step_its_section(path: Path) -> None:
    assert list(load_params(path)) == list(SECTIONS)  # DVC stops at a section that is not there
    assert all(isinstance(load_section(name, path), Section) for name in SECTIONS)


def test_the_stages_of_both_variants_differ_only_in_the_variant() -> None:
    assert STAGES["train"]["matrix"] == STAGES["embed"]["matrix"] == {"variant": ["trace", "encoder"]}
    assert filled(STAGES["train"]["cmd"], "train")[0].startswith("trace train --set train.variant=trace ")
