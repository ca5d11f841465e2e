"""Answers of HTTP 200 that are no chat completion: each is one counted failure, never a traceback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from trace_retriever.config.teacher import OpenaiTeacherParams
from trace_retriever.traces.teachers.base import UnansweredError
from trace_retriever.traces.teachers.chat import TeacherRequest
from trace_retriever.traces.teachers.openai import OpenaiChat


@contextmanager
def serving_body(kind: str, body: bytes) -> Iterator[str]:
    """A server that answers every request with these bytes; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(url: str, token_budget: int = 0) -> str:
    params = OpenaiTeacherParams(base_url=url, model="m", timeout_seconds=10.0, token_budget=token_budget)
    return OpenaiChat(params, "k", 64).complete(TeacherRequest(id="6:1", system="s", text="t", max_tokens=64))


@pytest.mark.parametrize("token_budget", [0, 1000])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<html>a proxy's page</html>"),
        ("application/json", b"not json"),
        ("application/json", b""),
        ("application/json", b"[]"),
    ],
)
def test_what_is_no_object_is_unanswered(kind: str, body: bytes, token_budget: int) -> None:
    with serving_body(kind, body) as url, pytest.raises(UnansweredError, match="no chat completion"):
        ask(url, token_budget)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "empty answer"),
        (b'{"choices": []}', "empty answer"),
        (b'{"choices": [{"message": null}]}', "empty answer"),
        (b'{"choices": [null]}', "empty answer"),
        (b'{"choices": 7}', "no chat completion"),
        (b'{"choices": [{"message": {"content": [1]}}]}', "no chat completion"),
    ],
)
def test_an_object_without_words_is_unanswered(body: bytes, reason: str) -> None:
    with serving_body("application/json", body) as url, pytest.raises(UnansweredError, match=reason):
        ask(url)


def test_usage_of_another_type_does_not_lose_the_answer() -> None:
    body = b'{"choices": [{"message": {"content": "ok"}}], "usage": {"total_tokens": "many"}}'
    with serving_body("application/json", body) as url:
        assert ask(url) == "ok"
