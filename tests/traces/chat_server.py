"""A real server on the loopback that speaks as much of OpenAI's chat completions as the teacher needs."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKENS = 50  # what each answer is said to have cost


@dataclass
class Reply:
    """What the server does with one request."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    tokens: int | None = TOKENS
    finish: str = "stop"


Script = Callable[[int, dict[str, Any]], Reply]


@dataclass
class Seen:
    """What the server has seen: bodies, authorisation headers, times of arrival, most requests at once."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    url: str = ""


def good_answer(_: int, body: dict[str, Any]) -> Reply:
    """A usable answer of the kind that the system prompt asks for; the same for the same prompt."""
    system, user = body["messages"][0]["content"], body["messages"][1]["content"][-1]["text"]
    digest = hashlib.sha256(user.encode()).hexdigest()
    if '"complexity"' in system:
        complex_ = any(
            word in user.lower() for word in (" of the ", "replace", "move", "swap", "add", "remove")
        )
        return Reply(json.dumps({"complexity": "complex" if complex_ else "simple", "confidence": 0.9}))
    if '"decision"' in system:
        return Reply(json.dumps({"decision": "consistent", "confidence": 0.95}))
    words = next(line for line in user.splitlines() if line.startswith("Query, words")).partition(": ")[2]
    return Reply(f"<reasoning>we look at {words} {digest[:6]}</reasoning><answer>it is {words}</answer>")


@contextmanager
def serving(script: Script) -> Iterator[Seen]:
    """Serve a script (number of the request from 0, its body → reply) until the block ends."""
    seen = Seen()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(seen.bodies)
                seen.bodies.append(body)
                seen.keys.append(self.headers["Authorization"])
                seen.times.append(time.monotonic())
                seen.now += 1
                seen.most_at_once = max(seen.most_at_once, seen.now)
            try:
                reply = script(number, body)
                time.sleep(reply.delay)
            finally:
                with lock:
                    seen.now -= 1
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            if reply.status == 200:
                message = {"role": "assistant", "content": reply.text}
                answer: dict[str, Any] = {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
                }
                if reply.tokens is not None:
                    answer["usage"] = {
                        "prompt_tokens": 0,
                        "completion_tokens": reply.tokens,
                        "total_tokens": reply.tokens,
                    }
            else:  # as some servers do: the message repeats the key
                answer = {"error": {"message": f"bad {self.headers['Authorization']}", "code": reply.text}}
            content = json.dumps(answer).encode()
            try:
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client had given up waiting

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
