import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tests.serving.running import NAME, Running, endless

from trace_retriever.serving.sdk import InferInput, InferRequest, messages

INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="module")
def channel(running: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running.grpc) as found:
        yield found


def call(channel: grpc.Channel, method: str, request: Any, answer: Any, **more: Any) -> Any:
    stub = channel.unary_unary(
        f"/inference.GRPCInferenceService/{method}",
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return stub(request, timeout=more.pop("timeout", 60), **more)


def infer(channel: grpc.Channel, request: Any, **more: Any) -> Any:
    return call(channel, "ModelInfer", request, messages.ModelInferResponse, **more)


def words(*texts: str, raw: bool = True, **parameters: Any) -> Any:
    values: list[Any] = [text.encode() for text in texts]
    one = InferInput("text", [len(texts)], "BYTES", data=None if raw else values)
    if raw:
        one.set_data_from_numpy(np.array(values, dtype=np.object_))
    return InferRequest(NAME, [one], parameters=parameters).to_grpc()


def refused(channel: grpc.Channel, request: Any, **more: Any) -> Any:
    with pytest.raises(grpc.RpcError) as error:
        infer(channel, request, **more)
    return error.value


@pytest.mark.parametrize("raw", [True, False])
def test_both_ways_of_sending_bytes(channel: grpc.Channel, running: Running, raw: bool) -> None:
    found = infer(channel, words("after red", "square of gold", raw=raw, k=2))
    assert [one.name for one in found.outputs] == [
        "embedding", "route", "trace", "trace_tokens", "truncated", "ids", "scores", "payloads"
    ]  # fmt: skip
    vectors = np.frombuffer(found.raw_output_contents[0], np.float32).reshape(2, 32)
    with running.client() as client:
        asked = {"name": "text", "shape": [2], "datatype": "BYTES", "data": ["after red", "square of gold"]}
        rest = client.post(f"/v2/models/{NAME}/infer", json={"inputs": [asked]}).json()
    np.testing.assert_allclose(vectors.reshape(-1), rest["outputs"][0]["data"], atol=1e-5)


def test_health_and_metadata(channel: grpc.Channel) -> None:
    assert call(channel, "ServerLive", messages.ServerLiveRequest(), messages.ServerLiveResponse).live
    assert call(channel, "ServerReady", messages.ServerReadyRequest(), messages.ServerReadyResponse).ready
    ready = messages.ModelReadyRequest(name=NAME)
    assert call(channel, "ModelReady", ready, messages.ModelReadyResponse).ready
    about = messages.ModelMetadataRequest(name=NAME)
    facts = call(channel, "ModelMetadata", about, messages.ModelMetadataResponse)
    assert [one.name for one in facts.inputs] == ["text", "image", "instruction"]


def test_nobody_loads_or_unloads(channel: grpc.Channel) -> None:
    for act in ("Load", "Unload"):
        request = getattr(messages, f"RepositoryModel{act}Request")(model_name=NAME)
        with pytest.raises(grpc.RpcError) as error:
            call(
                channel, f"RepositoryModel{act}", request, getattr(messages, f"RepositoryModel{act}Response")
            )
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert call(channel, "ServerReady", messages.ServerReadyRequest(), messages.ServerReadyResponse).ready


def test_bad_calls_say_what_is_wrong(channel: grpc.Channel) -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    cut = words("after red")
    cut.raw_input_contents[0] = b"\xff\xff\xff\xff"
    short = words("after red")
    short.inputs[0].shape[0] = 2
    number = InferRequest(NAME, [InferInput("text", [1], "INT32", data=[1])]).to_grpc()
    other = words("a")
    other.model_name = "other"
    cases = [
        (cut, code, "shape"), (short, code, "shape"), (number, code, "BYTES"),
        (words("a", reason="sometimes"), code, "reason"), (words("a", kk=1), code, "unknown parameter 'kk'"),
        (words(""), code, "without words"),
        (messages.ModelInferRequest(model_name=NAME), code, "text nor image"),
        (other, grpc.StatusCode.NOT_FOUND, "other"),
    ]  # fmt: skip
    for request, wanted, told in cases:
        error = refused(channel, request)
        assert error.code() is wanted, error
        assert told in error.details()


def test_a_message_that_is_none_is_refused(channel: grpc.Channel) -> None:
    stub = channel.unary_unary(INFER, request_serializer=None, response_deserializer=None)
    with pytest.raises(grpc.RpcError) as error:
        stub(b"\xff" * 40, timeout=30)
    assert error.value.code() in (
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INVALID_ARGUMENT,
    )


def test_a_message_beyond_the_limit_is_refused(channel: grpc.Channel, running: Running) -> None:
    large = words("a" * (running.service.settings.max_body_bytes + 1))
    assert refused(channel, large).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_deadlines_of_the_request_and_of_the_call_free_the_slots(
    channel: grpc.Channel, running: Running
) -> None:
    worker: Any = running.service.worker
    rows = worker.core.scheduler._rows
    endless(worker)
    try:
        late = refused(channel, words("after red", reason="always", deadline_ms=200))
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "in time" in late.details()
        assert refused(channel, words("after red", reason="always"), timeout=0.3).code() is (
            grpc.StatusCode.DEADLINE_EXCEEDED
        )
        until = time.monotonic() + 30
        while worker.status().slots_used:
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        worker.core.scheduler._rows = rows


def test_the_id_of_a_call_comes_back(channel: grpc.Channel) -> None:
    stub = channel.unary_unary(
        "/inference.GRPCInferenceService/ServerLive",
        request_serializer=messages.ServerLiveRequest.SerializeToString,
        response_deserializer=messages.ServerLiveResponse.FromString,
    )
    _, done = stub.with_call(messages.ServerLiveRequest(), metadata=(("x-request-id", "mine-7"),), timeout=30)
    assert ("x-request-id", "mine-7") in [(one.key, one.value) for one in done.initial_metadata()]


TRITON = """
    import json, sys
    import numpy as np
    import tritonclient.{kind} as client
    url, name, path = sys.argv[1:]
    found = client.InferenceServerClient(url)
    assert found.is_server_live() and found.is_server_ready() and found.is_model_ready(name)
    found.get_server_metadata(), found.get_model_metadata(name)
    values = {{"text": b"turn it into gold", "image": open(path, "rb").read()}}
    inputs = []
    for key, value in values.items():
        inputs.append(client.InferInput(key, [1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([value], dtype=np.object_))
    answer = found.infer(name, inputs, request_id="7", parameters={{"k": 3, "reason": "auto"}})
    shown = {{key: answer.as_numpy(key) for key in ("embedding", "trace_tokens", "truncated", "ids")}}
    one = found.infer(name, inputs[:1], outputs=[client.InferRequestedOutput("route")])
    assert one.as_numpy("embedding") is None and one.as_numpy("route").shape == (1,)
    try:
        found.infer(name, inputs, parameters={{"reason": "sometimes"}})
    except Exception as error:
        assert "sometimes" in str(error), error
    else:
        raise AssertionError("no error")
    print(json.dumps({{key: [str(value.dtype), value.shape] for key, value in shown.items()}}))
"""


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_tritonclient(running: Running, served: Any, kind: str) -> None:
    """In a process of its own: its messages and KServe's have one name, which protobuf lets be once only."""
    path = served.dataset / "mbeir_images" / "red.png"
    url = running.grpc if kind == "grpc" else running.url.removeprefix("http://")
    code = textwrap.dedent(TRITON.format(kind=kind))
    command = [sys.executable, "-W", "ignore", "-c", code, url, NAME, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["embedding"][:2] == ["float32", [1, 32]]
    assert found["trace_tokens"][0] == "int32"
    assert found["truncated"][0] == "bool"
    assert found["ids"][1] == [1, 3]
