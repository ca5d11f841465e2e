"""What a visitor asked: the fields of a form or an address, checked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import get_args
from urllib.parse import urlencode

from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.engine.encoded import Reason

REASONS: tuple[Reason, ...] = get_args(Reason)
COUNTS = (6, 12, 24, 48)
DEFAULT_COUNT = 12
MOST_LETTERS = 1000
REFERENCE = re.compile(r"(did:[0-9]{1,4}:[0-9]{1,7}|example:[a-z0-9]{1,40}_task[0-9]{1,2}:[0-9]{1,3})\Z")


@dataclass(frozen=True)
class Question:
    """One search, as it was asked.

    Attributes:
        pool: where to search.
        text: the visitor's words; "" for none.
        picture: a picture of the data set, such as `did:18:42` or `example:mojiedit_task7:0`; "" for none.
        reason: whether a trace may be written.
        instruction: typed in place of the pool's own; "" for that.
        count: how many results.
        example: the example that it began with; "" for none.
    """

    pool: str
    text: str = ""
    picture: str = ""
    reason: Reason = "auto"
    instruction: str = ""
    count: int = DEFAULT_COUNT
    example: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, str], pool: str) -> "Question":
        """Read fields; those that are missing take their defaults.

        Args:
            fields: of a form or an address; `instead` is a suggestion that was taken in place of `text`.
            pool: the default one.

        Raises:
            NoAnswer: a field is too long or none of the possible values; names the field.
        """
        reason = next((one for one in REASONS if one == fields.get("reason", "auto")), None)
        if reason is None:
            raise NoAnswer(f"'reason' is none of {', '.join(REASONS)}.")
        count = fields.get("count") or str(DEFAULT_COUNT)
        if count not in map(str, COUNTS):
            raise NoAnswer(f"'count' is none of {', '.join(map(str, COUNTS))}.")
        return cls(
            pool=fields.get("pool") or pool,
            text=_words(fields, "instead") or _words(fields, "text"),
            picture=_reference(fields.get("picture", "")),
            reason=reason,
            instruction=_words(fields, "instruction"),
            count=int(count),
            example=_words(fields, "example"),
        )

    def address(self, path: str = "/search", **changes: object) -> str:
        """Where this question is answered, some of its fields changed; defaults are left out."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        fields = {"pool": asked.pool, "text": asked.text, "picture": asked.picture, "example": asked.example}
        fields["instruction"] = asked.instruction
        if asked.reason != "auto":
            fields["reason"] = asked.reason
        if asked.count != DEFAULT_COUNT:
            fields["count"] = str(asked.count)
        return f"{path}?{urlencode({name: value for name, value in fields.items() if value})}"


def _words(fields: Mapping[str, str], name: str) -> str:
    words = " ".join(fields.get(name, "").split())
    if len(words) > MOST_LETTERS:
        raise NoAnswer(
            f"'{name}' has {len(words):,} characters; the limit is {MOST_LETTERS:,}.", remedy="say it shorter"
        )
    return words


def _reference(name: str) -> str:
    if name and not REFERENCE.match(name):
        raise NoAnswer(
            "This picture is none of the data set's.", remedy="choose one from the page, or your own"
        )
    return name
