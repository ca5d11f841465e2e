"""Queries from the Open Inference Protocol's tensors, and answers as such.

Shape legend: n queries, D entries of an embedding, k results.
"""

import base64
import binascii
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.config.serve import ServeSettings
from trace_retriever.serving.errors import BadRequest, TooLarge
from trace_retriever.serving.queries import Answer, Asked
from trace_retriever.serving.sdk import InferInput, InferOutput

INPUTS = ("text", "image", "instruction")
ALWAYS = {
    "embedding": "FP32",
    "route": "BYTES",
    "trace": "BYTES",
    "trace_tokens": "INT32",
    "truncated": "BOOL",
}
FOUND = {"ids": "BYTES", "scores": "FP32", "payloads": "BYTES"}


def read_queries(inputs: Sequence[InferInput], settings: ServeSettings) -> list[Asked]:
    """One query a place of the tensors: `text`, `image`, `instruction`, BYTES [n] or [n, 1] each.

    A picture is base64 where it came as a JSON string, and the file's own bytes where it came as bytes.
    An empty text, instruction or picture is none.

    Raises:
        BadRequest: an unknown or repeated input, a wrong type or shape, bad base64 or UTF-8, too many
            queries; TooLarge: a text or picture beyond its bound.
    """
    names = [one.name for one in inputs]
    if unknown := sorted(set(names) - set(INPUTS)):
        raise BadRequest(f"unknown input {unknown[0]!r}", remedy=f"inputs are {', '.join(INPUTS)}")
    if len(set(names)) < len(names):
        raise BadRequest("an input is given twice", where=f"inputs {', '.join(names)}")
    if not {"text", "image"} & set(names):
        raise BadRequest("neither text nor image", where="inputs", remedy="give one of them, or both")
    columns = {one.name: _column(one, settings) for one in inputs}
    counts = {name: len(column) for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        raise BadRequest(f"inputs differ in length: {counts}", where="inputs")
    count = next(iter(counts.values()))
    rows = [{name: column[number] for name, column in columns.items()} for number in range(count)]
    return [read_query(row, number, settings) for number, row in enumerate(rows)]


def read_query(row: Mapping[str, Any], number: int, settings: ServeSettings) -> Asked:
    """One query from values that are str, bytes or None; see `read_queries`."""
    words = {key: _words(row.get(key), f"{key} {number}", settings) for key in ("text", "instruction")}
    return Asked(image=_picture(row.get("image"), f"image {number}", settings), **words)


def write_answers(answers: Sequence[Answer]) -> list[InferOutput]:
    """The outputs: embedding FP32 [n, D], route, trace BYTES [n], trace_tokens INT32 [n], truncated BOOL [n];
    with results also ids BYTES, scores FP32 and payloads BYTES (JSON), [n, k] each.
    """
    encoded = [answer.encoded for answer in answers]
    arrays: dict[str, NDArray[Any]] = {
        "embedding": np.stack([one.encoded.vector(one.reason) for one in answers]),
        "route": _objects([one.route for one in encoded]),
        "trace": _objects([one.trace for one in encoded]),
        "trace_tokens": np.array([one.trace_tokens for one in encoded], np.int32),
        "truncated": np.array([one.truncated for one in encoded], np.bool_),
    }
    if answers[0].hits:
        hits = [answer.hits for answer in answers]
        arrays["ids"] = _objects([[hit.did for hit in row] for row in hits])
        arrays["scores"] = np.array([[hit.score for hit in row] for row in hits], np.float32)
        arrays["payloads"] = _objects(
            [[json.dumps(hit.payload, ensure_ascii=False) for hit in row] for row in hits]
        )
    kinds = {**ALWAYS, **FOUND}
    return [InferOutput(name, list(array.shape), kinds[name], data=array) for name, array in arrays.items()]


def _column(one: InferInput, settings: ServeSettings) -> list[Any]:
    where = f"input {one.name}"
    if one.datatype != "BYTES":
        raise BadRequest(f"datatype {one.datatype}", where=where, remedy="send BYTES")
    shape = one.shape
    if (
        not all(isinstance(size, int) for size in shape)
        or len(shape) not in (1, 2)
        or list(shape[1:]) not in ([], [1])
    ):
        raise BadRequest(f"shape {str(shape)[:60]}", where=where, remedy="send shape [n] or [n, 1]")
    if not 1 <= shape[0] <= settings.max_items:
        raise BadRequest(f"{shape[0]} queries", where=where, remedy=f"send 1 to {settings.max_items}")
    try:
        values: list[Any] = one.as_numpy().reshape(-1).tolist()
    except (ValueError, TypeError, struct.error) as error:
        raise BadRequest(f"data does not fit the shape {list(shape)}: {error}", where=where) from None
    return values


def _words(value: Any, where: str, settings: ServeSettings) -> str | None:
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise BadRequest(f"not UTF-8: {error.reason}", where=where) from None
    if not isinstance(value, str):
        raise BadRequest(f"a {type(value).__name__} and no text", where=where)
    size = len(value.encode(errors="surrogatepass"))
    if size > settings.max_text_bytes:
        raise TooLarge(f"{size:,} bytes of words; the limit is {settings.max_text_bytes:,}", where=where)
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadRequest("half a character (a lone surrogate)", where=where)
    return value or None


def _picture(value: Any, where: str, settings: ServeSettings) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise BadRequest("not base64", where=where, remedy="send the file's bytes in base64") from None
    if not isinstance(value, bytes):
        raise BadRequest(f"a {type(value).__name__} and no picture", where=where)
    if len(value) > settings.max_image_bytes:
        raise TooLarge(
            f"picture of {len(value):,} bytes; the limit is {settings.max_image_bytes:,}", where=where
        )
    return value or None


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    return np.array(values, dtype=np.object_)
