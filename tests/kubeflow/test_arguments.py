import json

import pytest
from google.protobuf import json_format, struct_pb2
from tests.conftest import ROOT

from trace_retriever.config import SECTIONS, load_section
from trace_retriever.errors import ConfigError
from trace_retriever.kubeflow.arguments import (
    arguments_of,
    from_argument,
    params_arguments,
    section_of,
    to_argument,
)


def through_a_struct(value: dict[str, object]) -> dict[str, object]:
    """What a protobuf Struct makes of it: every number a float."""
    found: dict[str, object] = json_format.MessageToDict(json_format.ParseDict(value, struct_pb2.Struct()))
    return found


@pytest.mark.parametrize("profile", ["params.yaml", "profiles/tiny.yaml"])
@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_arrives_in_the_pod_as_it_is_on_the_command_line(profile: str, name: str) -> None:
    overrides = ["train.sampling.complex_share=null", "evaluate.seeds_file=null"]
    argument = params_arguments(SECTIONS, {}, ROOT / profile, overrides)[name]
    assert None not in json.loads(json.dumps(argument)).values()
    arrived = section_of(name, through_a_struct(argument), {})
    assert arrived == load_section(name, ROOT / profile, overrides)
    assert json.dumps(arrived.model_dump(mode="json")) == json.dumps(
        load_section(name, ROOT / profile, overrides).model_dump(mode="json")
    )


def test_null_and_whole_numbers_survive() -> None:
    value = {"a": None, "b": [1, 2.5, None], "c": {"d": 3}}
    assert from_argument(through_a_struct(to_argument(value))) == value
    assert isinstance(from_argument(through_a_struct({"a": 3}))["a"], int)


def test_a_field_given_beside_the_section_takes_its_place() -> None:
    assert (
        section_of("train", {"variant": "trace"}, {"variant": "encoder"}).model_dump()["variant"] == "encoder"
    )
    assert section_of("train", {"variant": "encoder"}, {"variant": ""}).model_dump()["variant"] == "encoder"
    with pytest.raises(ConfigError, match="variant"):
        section_of("train", {}, {"variant": "both"})


def test_an_override_changes_the_compiled_default_and_keeps_the_rest() -> None:
    arguments = arguments_of({"train": {}}, {"train": {"steps": 7, "batch": 8}}, None, ["train.steps=9"], [])
    assert arguments == {"train": {"steps": 9, "batch": 8}}


@pytest.mark.parametrize(
    ("overrides", "others", "message"),
    [
        ([], [], "not given: model"),
        (["trian.steps=1"], ["model=x"], "did you mean 'train'"),
        ([], ["modle=x"], "known: model"),
        ([], ["model=x", "parts=["], "not valid YAML"),
    ],
)
def test_a_wrong_argument_is_named(overrides: list[str], others: list[str], message: str) -> None:
    parameters = {"model": {"parameterType": "STRING"}, "parts": {"parameterType": "LIST"}}
    with pytest.raises(ConfigError, match=message):
        arguments_of(parameters, {"parts": ["0/1"]}, None, overrides, others)
