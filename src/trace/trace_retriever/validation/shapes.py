"""Records as they lie on disk, read leniently: what a strict reader refuses is a finding here, with its line.

A line that is not a JSON object at all, or a file that is missing, is an error that stops the step.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from trace_retriever.io.jsonl import describe, read_numbered
from trace_retriever.mbeir.records import Modality


class _Object(RootModel[dict[str, Any]]):
    """Any JSON object."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class QueryShape(_Shape):
    """Keys and types of a query; what the values must be is for expectations to say."""

    qid: str
    query_txt: str | None
    query_img_path: str | None
    query_modality: str
    query_src_content: str | None = None
    pos_cand_list: list[str]
    neg_cand_list: list[str] = []
    task_id: int = Field(ge=-(1 << 63), lt=1 << 63)  # as tables hold it


class CandidateShape(_Shape):
    """Keys and types of a candidate."""

    did: str
    txt: str | None
    img_path: str | None
    modality: str
    src_content: str | None = None


class TraceShape(_Shape):
    """Keys and types of a kept trace."""

    qid: str
    pair: str
    reasoning: str
    answer: str
    teacher: str
    sees_target: bool
    confidence: float | None = None


def read_shapes(path: Path, shape: type[BaseModel]) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Yield (line, raw record, what is wrong with its keys and types or None), streaming.

    Raises:
        DataError: the file is missing, or a line is not a JSON object; names file and line.
    """
    for line, row in read_numbered(path, _Object):
        try:
            shape.model_validate(row.root)
        except ValidationError as error:
            yield line, row.root, describe(error)[:300]
        else:
            yield line, row.root, None


def fields_present(text: str | None, image: str | None) -> str:
    """The modality that a record's filled fields amount to; "nothing" when both are empty."""
    if text and image:
        return Modality.BOTH.value
    return Modality.TEXT.value if text else Modality.IMAGE.value if image else "nothing"


def id_number(value: str) -> int | None:
    """The number of an id `dataset:number`; None when it has another form."""
    dataset, colon, number = value.partition(":")
    whole = colon and value.isascii() and dataset.isdecimal() and number.isdecimal()
    return int(number) if whole and len(number) <= 18 else None


def scene_of(content: str | None) -> str | None:
    """The `scene` that a made record's src_content names; None for all others."""
    if not content or '"scene"' not in content:
        return None
    try:
        found = json.loads(content)
    except json.JSONDecodeError:
        return None
    scene = found.get("scene") if isinstance(found, dict) else None
    return None if scene is None else json.dumps(scene, sort_keys=True)


def fingerprint(*parts: str | None) -> int:
    """A 63-bit digest of some texts, to compare them by."""
    joined = "\0".join("\1" if part is None else part for part in parts)
    return int.from_bytes(hashlib.blake2b(joined.encode(), digest_size=8).digest()) >> 1
