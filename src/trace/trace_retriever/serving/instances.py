"""Queries and answers in KServe's first protocol: `instances` in, `predictions` out."""

from collections.abc import Mapping, Sequence
from typing import Any

from trace_retriever.config.serve import ServeSettings
from trace_retriever.serving.errors import BadRequest
from trace_retriever.serving.options import read_options
from trace_retriever.serving.queries import Answer, Asked, Options
from trace_retriever.serving.tensors import INPUTS, read_query


def read_instances(body: Any, settings: ServeSettings) -> tuple[list[Asked], Options]:
    """Read `{"instances": [{"text", "image", "instruction"}, …], "parameters": {…}}`.

    A picture is base64, alone or as `{"b64": …}`; an instance may be a bare string, which is its text.

    Raises:
        BadRequest: another form, an unknown key, a value out of bounds.
    """
    if not isinstance(body, Mapping) or (unknown := sorted(set(body) - {"instances", "parameters"})):
        remedy = "send {'instances': [...], 'parameters': {...}}"
        raise BadRequest(
            f"unknown key {unknown[0]!r}" if isinstance(body, Mapping) else "not a JSON object", remedy=remedy
        )
    instances, parameters = body.get("instances"), body.get("parameters", {})
    if not isinstance(instances, list) or not 1 <= len(instances) <= settings.max_items:
        raise BadRequest("no list of instances, or too long a one", remedy=f"send 1 to {settings.max_items}")
    if not isinstance(parameters, Mapping):
        raise BadRequest("parameters are no JSON object", where="parameters")
    asked = [read_query(_instance(one, number), number, settings) for number, one in enumerate(instances)]
    return asked, read_options(parameters, settings)


def write_predictions(answers: Sequence[Answer]) -> dict[str, Any]:
    """`{"predictions": [{embedding, route, trace, trace_tokens, truncated, hits}, …]}`."""
    return {"predictions": [_prediction(answer) for answer in answers]}


def _instance(one: Any, number: int) -> dict[str, Any]:
    if isinstance(one, str):
        return {"text": one}
    if not isinstance(one, Mapping):
        raise BadRequest(
            f"a {type(one).__name__}", where=f"instance {number}", remedy="send an object or a string"
        )
    if unknown := sorted(set(one) - set(INPUTS)):
        raise BadRequest(
            f"unknown key {unknown[0]!r}", where=f"instance {number}", remedy=f"keys: {', '.join(INPUTS)}"
        )
    picture = one.get("image")
    if isinstance(picture, Mapping):
        if set(picture) != {"b64"}:
            raise BadRequest("not {'b64': …}", where=f"image {number}", remedy="addresses are not fetched")
        return {**one, "image": picture["b64"]}
    return dict(one)


def _prediction(answer: Answer) -> dict[str, Any]:
    encoded = answer.encoded
    found = [{"id": hit.did, "score": hit.score, "payload": hit.payload} for hit in answer.hits]
    return {
        "embedding": encoded.vector(answer.reason).tolist(),
        "route": encoded.route,
        "trace": encoded.trace,
        "trace_tokens": encoded.trace_tokens,
        "truncated": encoded.truncated,
        **({"hits": found} if found else {}),
    }
