"""Settings of `trace serve`: what bounds a server's queues, requests and answers."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from trace_retriever.config.base import Section
from trace_retriever.errors import ConfigError
from trace_retriever.io.jsonl import describe

MIB = 1 << 20


class ServeSettings(Section):
    """Everything that a request may use up has a bound here; see docs/serving.md."""

    slots: int = Field(16, ge=1, description="Rows that write traces at a time.")
    own_process: bool = Field(
        True, description="Compute in a process of its own; false: in a thread of the server's."
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads that compute where there is no GPU; by default OMP_NUM_THREADS, "
        "or all processors but one, which is left to connections.",
    )
    turn_tokens: int = Field(
        1024,
        ge=1,
        description="Prompt tokens that are computed at once, one prompt at least.",
    )
    step_tokens: int = Field(
        256,
        ge=1,
        description="Prompt tokens in a row after which a decoding step is due, while rows write.",
    )
    max_waiting: int = Field(
        128, ge=1, description="Items that wait for their prompt's turn, or are decoded."
    )
    max_waiting_mib: int = Field(512, ge=1, description="Memory of waiting items' pictures.")
    max_reasoning: int = Field(32, ge=0, description="Rows that wait for a slot after their prompt.")
    max_reasoning_mib: int = Field(512, ge=1, description="Memory of their keys and values.")
    vision_mib: int = Field(256, ge=0, description="Memory of pictures' features that may come again.")
    max_requests: int = Field(256, ge=1, description="Requests that are read or answered at a time.")
    max_items: int = Field(16, ge=1, description="Items of a request.")
    max_body_bytes: int = Field(16 * MIB, ge=1, description="A request's body.")
    body_seconds: float = Field(20.0, gt=0, description="Time that a body may take to arrive.")
    max_text_bytes: int = Field(16_384, ge=1, description="An item's words, and its instruction.")
    max_image_bytes: int = Field(8 * MIB, ge=1, description="A picture's file.")
    max_image_pixels: int = Field(16_000_000, ge=1, description="A picture once it is decoded.")
    image_workers: int = Field(2, ge=1, description="Threads that decode pictures.")
    max_trace_tokens: int | None = Field(
        None, ge=1, description="Longest trace; by default the model's limit."
    )
    deadline_ms: int = Field(30_000, ge=1, description="Time for a request that names none.")
    max_deadline_ms: int = Field(120_000, ge=1, description="The longest time that a request may name.")
    max_k: int = Field(100, ge=1, description="Results a query.")
    retry_after: int = Field(1, ge=1, description="Seconds after which a refused client may try again.")
    drain_seconds: float = Field(25.0, ge=0, description="Time to finish what is in flight at the end.")
    lame_duck_seconds: float = Field(
        0.0, ge=0, description="Time between saying `not ready` and refusing, for load balancers to notice."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.deadline_ms > self.max_deadline_ms:
            raise ValueError(
                f"deadline_ms {self.deadline_ms} is beyond max_deadline_ms {self.max_deadline_ms}"
            )
        if self.max_items > self.max_waiting:
            raise ValueError(f"a request of {self.max_items} items never fits a queue of {self.max_waiting}")
        return self


def load_serve(path: Path | None, overrides: Sequence[str] = ()) -> ServeSettings:
    """Read the settings.

    Args:
        path: a YAML file; None takes the defaults.
        overrides: `key=value`, value in YAML.

    Raises:
        ConfigError: the file is missing or not YAML; an unknown key, a wrong type or a value out of bounds.
    """
    raw = _read(path) if path else {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ConfigError(f"override {override!r} is not key=value", where="--set")
        raw[key] = _yaml(value, "--set")
    where = str(path or "--set")
    for key in raw:
        if key not in ServeSettings.model_fields:
            near = difflib.get_close_matches(str(key), ServeSettings.model_fields, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see docs/serving.md"
            raise ConfigError(f"unknown key {key!r}", where=where, remedy=hint)
    try:
        return ServeSettings.model_validate_json(json.dumps(raw))
    except (ValidationError, TypeError) as error:
        told = describe(error) if isinstance(error, ValidationError) else str(error)
        raise ConfigError(told, where=where, remedy="see docs/serving.md") from None


def _read(path: Path) -> dict[Any, Any]:
    try:
        found = _yaml(path.read_text(encoding="utf-8"), str(path)) or {}
    except FileNotFoundError:
        raise ConfigError("settings not found", where=path, remedy="name them with --settings") from None
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a YAML file: {error}", where=path) from None
    if not isinstance(found, dict):
        raise ConfigError("not a mapping of keys", where=path)
    return found


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=where) from None
