"""Reading a section of `params.yaml`, with overrides from the command line, into its checked type."""

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from trace_retriever.config.base import Section
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

SECTIONS = (
    "prepare",
    "backbone",
    "route",
    "synthesize",
    "filter",
    "validate",
    "train",
    "embed",
    "evaluate",
    "gate",
    "register",
)


def section_type(name: str) -> type[Section]:
    """The type of a section: class `<Name>Config` of module `config.<name>`."""
    module = import_module(f"trace_retriever.config.{name}")
    found: type[Section] = getattr(module, f"{name.capitalize()}Config")
    return found


def load_params(path: Path) -> dict[str, Any]:
    """Read `params.yaml` as plain data.

    Raises:
        ConfigError: the file is missing, is not YAML, or has a section that no step reads.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError("params file not found", where=path, remedy="name one with --params FILE") from None
    except IsADirectoryError:
        raise ConfigError(
            "a folder and not a file", where=path, remedy="name the params file in it"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=path) from None
    if not isinstance(raw, dict):
        raise ConfigError("a params file holds one mapping of sections", where=path)
    for name in raw:
        _require_known(str(name), SECTIONS, where=str(path))
    return raw


def load_section(name: str, path: Path | None, overrides: Sequence[str] = ()) -> Section:
    """One section, checked.

    Args:
        name: the section's (and the step's) name.
        path: the params file; None takes the defaults alone.
        overrides: `section.key=value`, value in YAML; those of other sections are passed over.

    Raises:
        ConfigError: an unknown key or section, a wrong type or a value out of bounds; names file, key, value.
    """
    found = (load_params(path) if path else {}).get(name) or {}
    if not isinstance(found, dict):
        raise ConfigError(f"a section is a mapping of keys (got {found!r})", where=f"{path}, section {name}")
    return check_section(name, with_overrides(name, found, overrides), where=str(path or "defaults"))


def with_overrides(name: str, raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A section's plain data with `section.key=value` put in; those of other sections are passed over.

    Raises:
        ConfigError: not of that form, an unknown section, or a value that is no YAML.
    """
    changed = dict(raw)
    for override in overrides:
        _apply(override, name, changed)
    return changed


def check_section(name: str, raw: Mapping[str, Any], *, where: str) -> Section:
    """Turn plain data into the section's type; see `load_section` for the errors."""
    kind = section_type(name)
    try:
        return kind.model_validate_json(json.dumps(raw))
    except ValidationError as error:
        for item in error.errors():
            *keys, last = map(str, item["loc"] or ("",))
            if item["type"] == "extra_forbidden" and (known := _fields_at(kind, keys)):
                _require_known(last, known, where=f"{where}, section {name}", prefix=".".join(keys))
        raise ConfigError(
            describe(error), where=f"{where}, section {name}", remedy=f"see `trace {name} --help`"
        ) from None
    except TypeError as error:
        raise ConfigError(str(error), where=f"{where}, section {name}") from None


def _apply(override: str, section: str, raw: dict[str, Any]) -> None:
    key, equals, value = override.partition("=")
    name, *keys = key.split(".")
    if not equals or not keys:
        raise ConfigError(f"override {override!r} is not section.key=value", where="--set")
    _require_known(name, SECTIONS, where="--set")
    if name != section:
        return
    for inner in keys[:-1]:
        found = raw.get(inner) or {}
        if not isinstance(found, dict):
            raise ConfigError(f"override {key!r}: {inner!r} is {found!r} and has no keys", where="--set")
        raw[inner] = dict(found)
        raw = raw[inner]
    try:
        raw[keys[-1]] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"value of override {override!r} is not valid YAML: {error}", where="--set"
        ) from None


def _fields_at(kind: type[Section], keys: Sequence[str]) -> Collection[str]:
    """The field names of a section nested below `kind`; none where the way leads through something else."""
    for key in keys:
        inner = kind.model_fields[key].annotation if key in kind.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            return ()
        kind = inner
    return kind.model_fields


def _require_known(name: str, known: Collection[str], *, where: str, prefix: str = "") -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=1)
    key = f"{prefix}.{name}" if prefix else name
    raise ConfigError(
        f"unknown key {key!r}",
        where=where,
        remedy=f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}",
    )
