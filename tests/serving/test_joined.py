"""Head and body of an answer leave together."""

import json
import socket

from tests.serving.running import NAME, Running

INFER = f"/v2/models/{NAME}/infer"
ASKED = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["red"]}]}


def test_an_answer_comes_in_one_piece(running: Running) -> None:
    content = json.dumps(ASKED | {"parameters": {"reason": "never"}}).encode()
    head = f"POST {INFER} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", running.server.http_port), 60) as connection:
        for _ in range(20):
            connection.sendall(head + content)
            told, _, answer = connection.recv(1 << 20).partition(b"\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 200")
            assert json.loads(answer)["model_name"] == NAME
