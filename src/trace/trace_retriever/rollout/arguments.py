"""Settings as arguments of a pipeline, and back: what `kubeflow.arguments` does for params sections."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from trace_retriever.config.base import Section
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe
from trace_retriever.kubeflow.arguments import from_argument, to_argument

Kind = TypeVar("Kind", bound=Section)


def as_argument(section: Section) -> dict[str, Any]:
    """A section's own values (no defaults) as a pipeline's argument can carry them."""
    found: dict[str, Any] = to_argument(section.model_dump(mode="json", exclude_unset=True))
    return found


def section_from(kind: type[Kind], argument: Mapping[str, Any], name: str) -> Kind:
    """A pipeline's argument as the checked section.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of bounds.
    """
    try:
        return kind.model_validate_json(json.dumps(from_argument(argument)))
    except ValidationError as error:
        raise ConfigError(describe(error), where=f"argument {name}") from None
