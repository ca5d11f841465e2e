import base64
import io
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.serving.running import NAME, Running, Served, endless, figures

from trace_retriever.engine.engine import Engine
from trace_retriever.mbeir.text import clean_text
from trace_retriever.model.items import Item

INFER, PREDICT = f"/v2/models/{NAME}/infer", f"/v1/models/{NAME}:predict"
WORDS, INSTRUCTION = "turn it into gold", "find the square"


def tensor(name: str, *values: str) -> dict[str, Any]:
    return {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": list(values)}


def body(*inputs: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    return {"inputs": list(inputs), **({"parameters": parameters} if parameters else {})}


def outputs(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in answer.json()["outputs"]}


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def binary(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def framed(head: dict[str, Any], *tail: bytes) -> dict[str, Any]:
    start = json.dumps(head).encode()
    return {
        "content": b"".join([start, *tail]),
        "headers": {
            "Inference-Header-Content-Length": str(len(start)),
            "Content-Type": "application/octet-stream",
        },
    }


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[httpx.Client]:
    with running.client() as found:
        yield found


@pytest.fixture(scope="module")
def wanted(served: Served, picture: bytes) -> np.ndarray[Any, Any]:
    """What the engine makes of the question asked here in many ways."""
    text = f"{clean_text(INSTRUCTION)} {clean_text(WORDS)}"
    item = Item(text, Image.open(io.BytesIO(picture)).convert("RGB"))
    return next(Engine(served.load()).encode([item])).vector("auto")


def test_words_picture_and_instruction_in_json(
    client: httpx.Client, picture: bytes, wanted: np.ndarray[Any, Any]
) -> None:
    asked = body(tensor("text", WORDS), tensor("image", b64(picture)), tensor("instruction", INSTRUCTION))
    found = outputs(client.post(INFER, json=asked))
    np.testing.assert_allclose(found["embedding"][0], wanted, atol=1e-5)
    assert {key: value.shape for key, value in found.items()} == {
        "embedding": (1, 32), "route": (1,), "trace": (1,), "trace_tokens": (1,), "truncated": (1,)
    }  # fmt: skip


def test_binary_tensors_both_ways(client: httpx.Client, picture: bytes, wanted: np.ndarray[Any, Any]) -> None:
    parts = {"text": WORDS.encode(), "image": picture, "instruction": INSTRUCTION.encode()}
    inputs = [
        {
            "name": name,
            "shape": [1, 1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(binary(value))},
        }
        for name, value in parts.items()
    ]
    head = {"id": "mine", "inputs": inputs, "parameters": {"binary_data_output": True}}
    answer = client.post(INFER, **framed(head, *map(binary, parts.values())))
    length = int(answer.headers["inference-header-content-length"])
    told = json.loads(answer.content[:length])
    assert told["id"] == "mine"
    first = told["outputs"][0]
    assert (first["name"], first["shape"]) == ("embedding", [1, 32])
    size = first["parameters"]["binary_data_size"]
    vector = np.frombuffer(answer.content[length : length + size], np.float32)
    np.testing.assert_allclose(vector, wanted, atol=1e-5)


def test_the_first_protocol(client: httpx.Client, picture: bytes, wanted: np.ndarray[Any, Any]) -> None:
    asked = {"text": WORDS, "instruction": INSTRUCTION}
    instances = [{**asked, "image": b64(picture)}, {**asked, "image": {"b64": b64(picture)}}, "after red"]
    answer = client.post(PREDICT, json={"instances": instances, "parameters": {"k": 2}})
    first, second, third = answer.json()["predictions"]
    np.testing.assert_allclose(first["embedding"], wanted, atol=1e-5)
    np.testing.assert_allclose(second["embedding"], wanted, atol=1e-5)
    assert set(third) == {"embedding", "route", "trace", "trace_tokens", "truncated", "hits"}
    assert [set(hit) for hit in third["hits"]] == [{"id", "score", "payload"}] * 2


def test_retrieving_from_all_candidates_and_from_a_pool(client: httpx.Client, running: Running) -> None:
    retriever = running.service.retriever
    assert retriever is not None
    for pool in (None, "mojiedit_task7"):
        parameters = {"k": 4, **({"pool": pool} if pool else {})}
        found = outputs(
            client.post(INFER, json=body(tensor("text", "after red", "after pink"), **parameters))
        )
        assert found["ids"].shape == found["scores"].shape == found["payloads"].shape == (2, 4)
        for row in range(2):
            vector = found["embedding"][row].astype(np.float32)
            hits = retriever.search(vector, 4, pool)
            assert found["ids"][row].tolist() == [hit.did for hit in hits]
            np.testing.assert_allclose(found["scores"][row], [hit.score for hit in hits], atol=1e-6)
            assert [json.loads(one) for one in found["payloads"][row]] == [hit.payload for hit in hits]


def test_requested_outputs_only(client: httpx.Client) -> None:
    asked = body(tensor("text", "after red")) | {"outputs": [{"name": "route"}]}
    assert set(outputs(client.post(INFER, json=asked))) == {"route"}


def test_never_and_limits_are_obeyed(client: httpx.Client) -> None:
    texts = [f"after {name}" for name in ("red", "green", "blue", "white")]
    never = outputs(client.post(INFER, json=body(tensor("text", *texts), reason="never")))
    assert never["trace_tokens"].tolist() == [0] * 4
    short = outputs(
        client.post(INFER, json=body(tensor("text", *texts), reason="always", max_trace_tokens=1))
    )
    assert short["trace_tokens"].max() <= 1


PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def bomb() -> bytes:
    """A PNG that says it has 10^10 pixels."""
    import zlib

    chunk = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    head = struct.pack(">I", len(chunk)) + b"IHDR" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + chunk))
    return PNG_HEAD + head + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no inputs": ({"inputs": []}, "inputs"),
    "nothing to encode": (body(tensor("instruction", "find")), "neither text nor image"),
    "empty words": (body(tensor("text", "")), "without words or a picture"),
    "unknown input": (body(tensor("words", "a")), "unknown input 'words'"),
    "an input twice": (body(tensor("text", "a"), tensor("text", "b")), "twice"),
    "other lengths": (body(tensor("text", "a"), tensor("image", "", "")), "differ in length"),
    "wrong type": (body({**tensor("text", "a"), "datatype": "FP32"}), "send BYTES"),
    "unknown type": (body({**tensor("text", "a"), "datatype": "nonsense"}), "send BYTES"),
    "wrong shape": (body({**tensor("text", "a"), "shape": [2]}), "does not fit the shape"),
    "negative shape": (body({**tensor("text", "a"), "shape": [-1]}), "send 1 to"),
    "huge shape": (body({**tensor("text", "a"), "shape": [10**12]}), "send 1 to"),
    "deep shape": (body({**tensor("text", "a"), "shape": [1, 7]}), "[n, 1]"),
    "numbers for words": (body({**tensor("text", "a"), "data": [7]}), "no text"),
    "ragged data": (body({**tensor("text", "a", "b"), "data": [["a"], "b"]}), "no text"),
    "half a character": (body(tensor("text", "\ud800")), "surrogate"),
    "too many queries": (body(tensor("text", *"a" * 17)), "send 1 to 16"),
    "bad base64": (body(tensor("image", "not base64!")), "not base64"),
    "no picture": (body(tensor("image", b64(b"hello"))), "not a JPEG, PNG or WebP"),
    "a bomb": (body(tensor("image", b64(bomb()))), "pixels"),
    "unknown parameter": (body(tensor("text", "a"), reasons="auto"), "unknown parameter 'reasons'"),
    "unknown reason": (body(tensor("text", "a"), reason="sometimes"), "one of auto, never, always"),
    "negative k": (body(tensor("text", "a"), k=-1), "from 0 to 100"),
    "huge k": (body(tensor("text", "a"), k=101), "from 0 to 100"),
    "k of another type": (body(tensor("text", "a"), k=True), "from 0 to 100"),
    "unknown pool": (body(tensor("text", "a"), k=1, pool="none"), "pools are"),
    "an address": (body(tensor("image", "file:///etc/passwd")), "not base64"),
    "deadline beyond": (body(tensor("text", "a"), deadline_ms=10**9), "from 1 to 120000"),
    "unknown output": (body(tensor("text", "a")) | {"outputs": [{"name": "logits"}]}, "no output 'logits'"),
    "results without k": (body(tensor("text", "a")) | {"outputs": [{"name": "ids"}]}, "no output 'ids'"),
    "unknown key": (body(tensor("text", "a")) | {"secret": 1}, "secret"),
    "no data": (body({"name": "text", "shape": [1], "datatype": "BYTES"}), "no data"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_told_what_is_wrong(client: httpx.Client, name: str) -> None:
    asked, told = BAD[name]
    answer = client.post(INFER, content=json.dumps(asked), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["error"]
    assert answer.headers["x-request-id"]


def test_cut_pictures_are_refused_and_whole_ones_still_served(client: httpx.Client, picture: bytes) -> None:
    for size in (9, 40, len(picture) // 2):
        answer = client.post(INFER, json=body(tensor("image", b64(picture[:size]))))
        assert answer.status_code == 400, size
    assert client.post(INFER, json=body(tensor("image", b64(picture)))).status_code == 200


@pytest.mark.parametrize(
    ("head", "tail", "told"),
    [
        ({"binary_data_size": 10**9}, b"", "binary_data_size"),
        ({"binary_data_size": -4}, b"abcd", "binary_data_size"),
        ({"binary_data_size": True}, b"abcd", "binary_data_size"),
        ({"binary_data_size": 3}, b"abc", "within a length"),
        ({"binary_data_size": 6}, struct.pack("<I", 100) + b"ab", "within an element"),
        ({"binary_data_size": 5}, struct.pack("<I", 1) + b"ab", "behind the last tensor"),
        ({"binary_data_size": 5}, struct.pack("<I", 1) + b"\xff", "not UTF-8"),
        ({"binary_data_size": 10}, binary(b"a", b"b"), "fit the shape"),
    ],
)
def test_bad_binary_tensors(client: httpx.Client, head: dict[str, Any], tail: bytes, told: str) -> None:
    one = {"name": "text", "shape": [1], "datatype": "BYTES", "parameters": head}
    answer = client.post(INFER, **framed({"inputs": [one]}, tail))
    assert answer.status_code == 400
    assert told in answer.json()["error"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"inputs": NaN}']
)
@pytest.mark.parametrize("path", [INFER, PREDICT])
def test_bodies_that_are_none(client: httpx.Client, path: str, content: bytes) -> None:
    answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"instances": []},
        {"instances": "a"},
        {"instances": [7]},
        {"instances": [{}]},
        {"instances": [{"words": "a"}]},
        {"instances": [{"image": {"url": "http://127.0.0.1/"}}]},
        {"instances": ["a"], "parameters": []},
        {"instances": ["a"], "parameters": {"k": "3"}},
        {"instances": ["a"], "more": 1},
        {"instances": ["a"] * 17},
    ],
)
def test_bad_instances(client: httpx.Client, asked: dict[str, Any]) -> None:
    assert client.post(PREDICT, json=asked).status_code == 400


@pytest.mark.parametrize("length", ["x", "-1", "99999", "1e3", "\u0663"])
def test_bad_length_of_the_json(client: httpx.Client, length: str) -> None:
    headers = {b"inference-header-content-length": length.encode()}
    answer = client.post(INFER, content=json.dumps(body(tensor("text", "a"))), headers=headers)
    assert answer.status_code == 400


def test_too_much_is_refused_before_it_is_read(client: httpx.Client, running: Running) -> None:
    most = running.service.settings.max_body_bytes
    with socket.create_connection(("127.0.0.1", running.server.http_port), 10) as line:
        line.sendall(f"POST {INFER} HTTP/1.1\r\nHost: a\r\nContent-Length: {most + 1}\r\n\r\n".encode())
        assert b"413" in line.recv(200).split(b"\r\n")[0]
    chunks = (b"x" * 2**20 for _ in range(most // 2**20 + 2))
    with pytest.raises((httpx.HTTPStatusError, httpx.WriteError, httpx.ReadError)):
        client.post(INFER, content=chunks).raise_for_status()
    long = body(tensor("text", "a" * (running.service.settings.max_text_bytes + 1)))
    assert client.post(INFER, json=long).status_code == 413


def test_long_words_are_cut_like_those_of_embed(client: httpx.Client, served: Served) -> None:
    words = "red " * 500
    found = outputs(client.post(INFER, json=body(tensor("text", words))))
    alone = next(Engine(served.load()).encode([Item(clean_text(words))])).vector("auto")
    np.testing.assert_allclose(found["embedding"][0], alone, atol=1e-5)


def test_a_deadline_that_cannot_be_met(client: httpx.Client) -> None:
    answer = client.post(INFER, json=body(tensor("text", *["after red"] * 16), deadline_ms=1))
    assert answer.status_code == 504


def test_request_ids(client: httpx.Client) -> None:
    given = client.get("/v2", headers={"x-request-id": "mine-7"})
    assert given.headers["x-request-id"] == "mine-7"
    forged = client.get("/v2", headers={"x-request-id": 'a"b\tc'}).headers["x-request-id"]
    assert len(forged) == 36
    assert client.get("/v2").headers["x-request-id"] != client.get("/v2").headers["x-request-id"]


def test_health_models_and_metadata(client: httpx.Client) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models").json() == client.get("/v1/models").json() == {"models": [NAME]}
    assert client.get(f"/v2/models/{NAME}/ready").json() == {"name": NAME, "ready": True}
    facts = client.get(f"/v2/models/{NAME}").json()
    assert [one["name"] for one in facts["inputs"]] == ["text", "image", "instruction"]
    assert {"name": "embedding", "datatype": "FP32", "shape": [-1, 32]} in facts["outputs"]
    for path in ("/v2/models/other", "/v2/models/other/ready", "/v1/models/other"):
        assert client.get(path).status_code == 404
    assert client.post("/v2/models/other/infer", json=body(tensor("text", "a"))).status_code == 404
    assert client.get(INFER).status_code == 405


def test_metrics_count_by_route_and_outcome(client: httpx.Client) -> None:
    before = figures(client)
    outputs(client.post(INFER, json=body(tensor("text", "after red", "square of gold", "after pink"))))
    client.post(INFER, json=body(tensor("image", b64(b"hello"))))
    after = figures(client)
    grown = {
        key: after[key] - before.get(key, 0.0) for key in after if key.startswith("trace_requests_total")
    }
    assert sum(value for key, value in grown.items() if 'outcome="ok"' in key) == 3
    assert grown['trace_requests_total{outcome="invalid",route="unknown"}'] == 1
    assert {'trace_queue_length{queue="prompts"}', 'trace_queue_length{queue="reasoning"}'} <= set(after)
    assert after["trace_slots"] == 4
    assert any(key.startswith("trace_model_info{") for key in after)
    assert {"trace_slots_used", "trace_tokens_total", "trace_truncated_total"} <= set(after)


def test_a_client_that_goes_takes_its_rows_with_it(running: Running, client: httpx.Client) -> None:
    worker: Any = running.service.worker
    rows = worker.core.scheduler._rows
    endless(worker)
    try:
        with pytest.raises(httpx.ReadTimeout):
            client.post(INFER, json=body(tensor("text", *["after red"] * 8), reason="always"), timeout=1.0)
        until = time.monotonic() + 30
        while (now := worker.status()).prompts or now.reasoning or now.slots_used:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        worker.core.scheduler._rows = rows
    assert 'outcome="cancelled"' in client.get("/metrics").text
