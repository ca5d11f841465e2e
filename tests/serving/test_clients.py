"""KServe's own clients."""

import asyncio
from typing import Any

import numpy as np
from tests.serving.running import NAME, Running

from trace_retriever.serving.sdk import InferInput, InferRequest


def request(*, binary: bool) -> InferRequest:
    one = InferInput("text", [2], "BYTES")
    values = np.array([b"after red", b"square of gold"], dtype=np.object_)
    one.set_data_from_numpy(values, binary_data=binary)
    return InferRequest(NAME, [one], parameters={"k": 2})


async def ask(running: Running) -> list[Any]:
    from kserve import InferenceGRPCClient, InferenceRESTClient, RESTConfig

    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    first = InferenceRESTClient(RESTConfig(protocol="v1", timeout=60))
    grpc = InferenceGRPCClient(running.grpc, timeout=60)
    try:
        assert await rest.is_server_ready(running.url)
        assert await rest.is_server_live(running.url)
        assert await rest.is_model_ready(running.url, NAME)
        assert await first.is_model_ready(running.url, NAME)
        assert await grpc.is_server_ready()
        assert await grpc.is_model_ready(NAME)
        found = [await rest.infer(running.url, request(binary=binary), NAME) for binary in (False, True)]
        found.append(await grpc.infer(request(binary=True)))
        instances = {"instances": ["after red", {"text": "square of gold"}]}
        found.append(await first.infer(running.url, instances, NAME))
        return found
    finally:
        await rest.close()
        await first.close()
        await grpc.close()


def test_all_of_them_get_the_same(running: Running) -> None:
    *second, first = asyncio.run(ask(running))
    vectors = [np.array(one.get_output_by_name("embedding").as_numpy()) for one in second]
    vectors.append(np.array([one["embedding"] for one in first["predictions"]]))
    for vector in vectors:
        np.testing.assert_allclose(vector, vectors[0], atol=1e-5)
    for one in second:
        assert one.get_output_by_name("ids").shape == [2, 2]
