"""Params sections as arguments of a pipeline, and back.

A pipeline's argument is a protobuf Struct: it has one kind of number, and the local runner takes no null.
So null travels as the word "null", and a whole number is an int again on arrival. The section's type checks
both.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trace_retriever.config import SECTIONS, Section, check_section, load_params, with_overrides
from trace_retriever.errors import ConfigError

NULL = "null"
# A file of the checkout that only adds a table to a report: a pod does not have it.
LEFT_OUT = {"evaluate": ("seeds_file",)}


def to_argument(value: Any) -> Any:
    """Plain data of a params file as a pipeline's argument can carry it."""
    if value is None:
        return NULL
    if isinstance(value, Mapping):
        return {str(key): to_argument(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_argument(inner) for inner in value]
    return value


def from_argument(value: Any) -> Any:
    """The plain data that `to_argument` was given."""
    if isinstance(value, str) and value == NULL:
        return None
    if isinstance(value, Mapping):
        return {key: from_argument(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_argument(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def section_of(step: str, argument: Mapping[str, Any], overrides: Mapping[str, Any]) -> Section:
    """A component's `config`, with a few fields of it given beside it, as the step's checked section.

    Args:
        step: whose section.
        argument: what the pipeline passed.
        overrides: field → value; an empty string leaves the field as it is.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of bounds.
    """
    own = {key: value for key, value in overrides.items() if value != ""}
    return check_section(step, from_argument(argument) | own, where="argument config")


def params_arguments(
    names: Collection[str],
    defaults: Mapping[str, Any],
    params: Path | None,
    overrides: Sequence[str] = (),
) -> dict[str, dict[str, Any]]:
    """Section → argument, of the sections that a pipeline takes; checked here, before any pod starts.

    Args:
        names: the pipeline's parameters; sections that it does not take are passed over.
        defaults: what the pipeline was compiled with, section → argument; used where no file is given.
        params: a params file, whose sections take the place of the defaults.
        overrides: `section.key=value`.

    Raises:
        ConfigError: as `config.load_section`.
    """
    found = load_params(params) if params else from_argument(defaults)
    arguments = {}
    for name in SECTIONS:
        raw = with_overrides(name, found.get(name) or {}, overrides)  # a wrong one is refused, used or not
        if name in names:
            section = check_section(name, raw, where=str(params or "the pipeline's defaults"))
            given = section.model_dump(mode="json", exclude_unset=True)
            left_out = LEFT_OUT.get(name, ())
            arguments[name] = to_argument({key: given[key] for key in given if key not in left_out})
    return arguments


def arguments_of(
    parameters: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    params: Path | None,
    overrides: Sequence[str],
    others: Sequence[str],
) -> dict[str, Any]:
    """All arguments of a run: params sections, and what was given as `name=value`.

    Args:
        parameters: the pipeline's own, name → definition.
        defaults: what it was compiled with.
        params, overrides: see `params_arguments`.
        others: `name=value`, value in YAML (a string parameter takes it as it is).

    Raises:
        ConfigError: an unknown parameter, or one that has no default and was not given.
    """
    sections = {name: defaults[name] for name in SECTIONS if name in defaults}
    arguments: dict[str, Any] = params_arguments(list(parameters), sections, params, overrides)
    for other in others:
        name, equals, value = other.partition("=")
        if not equals or name not in parameters or name in SECTIONS:
            known = ", ".join(name for name in parameters if name not in SECTIONS) or "none"
            raise ConfigError(
                f"{other!r} is not name=value of a parameter", where="--arg", remedy=f"known: {known}"
            )
        text = parameters[name].get("parameterType") == "STRING"
        try:
            arguments[name] = value if text else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"value of {other!r} is not valid YAML: {error}", where="--arg") from None
    missing = [name for name in parameters if name not in arguments and name not in defaults]
    if missing:
        raise ConfigError(f"not given: {', '.join(missing)}", remedy="give each with --arg NAME=VALUE")
    return arguments
