"""What the REST face's answers and requests look like, for its OpenAPI document."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from trace_retriever.serving.bodies import InferBody


class Fault(BaseModel):
    """What went wrong."""

    error: str


class Live(BaseModel):
    """The process works."""

    live: bool


class Ready(BaseModel):
    """The server takes requests."""

    ready: bool


class ServerFacts(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class Models(BaseModel):
    """Which models there are."""

    models: list[str]


class ModelReady(BaseModel):
    """A model takes requests."""

    name: str
    ready: bool


class Tensor(BaseModel):
    """An input or output; sizes that vary are -1."""

    name: str
    datatype: str
    shape: list[int]


class ModelFacts(BaseModel):
    """What a model takes and gives."""

    name: str
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


class Output(BaseModel):
    """An output with its data, row after row."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class Inferred(BaseModel):
    """An answer of the second protocol."""

    model_config = ConfigDict(protected_namespaces=())
    id: str
    model_name: str
    model_version: str
    outputs: list[Output]


class Payload(BaseModel):
    """What is known of a candidate."""

    txt: str | None
    img_path: str | None
    modality: str


class Result(BaseModel):
    """A candidate that was found."""

    id: str
    score: float
    payload: Payload


class Prediction(BaseModel):
    """One query's answer."""

    embedding: list[float]
    route: str
    trace: str
    trace_tokens: int
    truncated: bool
    hits: list[Result] = []


class Predictions(BaseModel):
    """An answer of the first protocol."""

    predictions: list[Prediction]


ANSWERS: dict[int | str, dict[str, Any]] = {
    400: {"model": Fault, "description": "Malformed, out of bounds, or a picture that cannot be decoded."},
    404: {"model": Fault, "description": "No such model."},
    413: {"model": Fault, "description": "Larger than this server takes."},
    500: {"model": Fault, "description": "The server failed."},
    503: {"model": Fault, "description": "A queue is full, or the server is stopping; see Retry-After."},
    504: {"model": Fault, "description": "No answer within the deadline."},
}
_ASKED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "text": {"type": "string"},
        "instruction": {"type": "string"},
        "image": {"type": "string", "contentEncoding": "base64"},
    },
}
_INSTANCES: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["instances"],
    "properties": {
        "instances": {"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, _ASKED]}},
        "parameters": {"type": "object"},
    },
}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, which a part of a document cannot hold."""
    shared = schema.pop("$defs", {})

    def put_in(node: Any) -> Any:
        if isinstance(node, dict):
            if name := node.get("$ref"):
                return put_in(shared[name.rsplit("/", 1)[1]])
            return {key: put_in(value) for key, value in node.items()}
        return [put_in(one) for one in node] if isinstance(node, list) else node

    flat: dict[str, Any] = put_in(schema)
    return flat


INFER, PREDICT = _body(_flat(InferBody.model_json_schema())), _body(_INSTANCES)
