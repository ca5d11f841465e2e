"""What a teacher wrote, read strictly: the two tags of a trace, the JSON of a verdict."""

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")
_TRACE = re.compile(
    r"\s*<reasoning>(?P<reasoning>.*?)</reasoning>\s*<answer>(?P<answer>.*?)</answer>\s*", re.DOTALL
)
_FENCE = re.compile(r"\s*```(?:json)?\s*\n(?P<body>.*?)\n\s*```\s*", re.DOTALL)


class MalformedError(Exception):
    """An answer that cannot be used; its text is a short reason that can be counted."""


@dataclass(frozen=True)
class Parts:
    """The two parts of a structured trace (paper, section on M-BEIR-CoT), without tags."""

    reasoning: str
    answer: str


def parse_trace(text: str) -> Parts:
    """Read `<reasoning>…</reasoning><answer>…</answer>`: each tag once, in this order, nothing beside them.

    Runs of white space become one space.

    Raises:
        MalformedError: a tag is missing, repeated or out of order, a part is empty, or there is text outside.
    """
    for tag in TAGS:
        if (count := text.count(tag)) != 1:
            raise MalformedError(f"tag {tag} {'missing' if not count else 'repeated'}")
    places = [text.index(tag) for tag in TAGS]
    if places != sorted(places):
        raise MalformedError("tags out of order")
    match = _TRACE.fullmatch(text)
    if match is None:
        raise MalformedError("text outside the tags")
    parts = Parts(*(" ".join(match[name].split()) for name in ("reasoning", "answer")))
    if not parts.reasoning or not parts.answer:
        raise MalformedError("empty reasoning" if not parts.reasoning else "empty answer")
    return parts


class _Verdict(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


Kind = TypeVar("Kind", bound=_Verdict)


class Complexity(_Verdict):
    """A judge's verdict on one query."""

    complexity: Literal["simple", "complex"]
    confidence: float = Field(ge=0, le=1)


class Consistency(_Verdict):
    """A verifier's verdict on one trace (paper: a decision and a confidence)."""

    decision: Literal["consistent", "inconsistent"]
    confidence: float = Field(ge=0, le=1)


def parse_complexity(text: str) -> Complexity:
    """Read a judge's JSON; see `parse_consistency`."""
    return _parse(text, Complexity)


def parse_consistency(text: str) -> Consistency:
    """Read a verifier's JSON: one object, bare or in one code fence; the asked keys, their types and bounds.

    Raises:
        MalformedError: it is not that.
    """
    return _parse(text, Consistency)


def _parse(text: str, kind: type[Kind]) -> Kind:
    fenced = _FENCE.fullmatch(text)
    try:
        return kind.model_validate_json(fenced["body"] if fenced else text)
    except ValidationError as error:
        if error.errors()[0]["type"] == "json_invalid":
            raise MalformedError("not one JSON object") from None
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "record"
        raise MalformedError(f"verdict: {key}: {first['msg']}") from None
