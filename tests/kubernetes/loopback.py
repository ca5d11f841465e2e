"""An API server's manners on loopback, for the stand-ins: token, JSON, statuses, a kubeconfig to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

TOKEN = "loopback-only"


class Held(Protocol):
    """What a stand-in holds: each request that it was sent, and the status codes that it answers next."""

    requests: list[tuple[str, str]]
    trouble: list[int]


class Handler(BaseHTTPRequestHandler):
    """Answers as an API server does; its subclasses say what."""

    held: Held

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: Any) -> None:
        """Send JSON, or a log's plain text."""
        plain = isinstance(body, str)
        content = body.encode() if plain else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if plain else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def refuse(self, status: int, message: str) -> None:
        """Send a failure as Kubernetes words it."""
        self.answer(status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

    def get(self) -> None:
        """Answer a question."""
        self.refuse(405, "not here")

    def change(self, body: dict[str, Any]) -> None:  # noqa: ARG002
        """Create or change an object."""
        self.refuse(405, "not here")

    def delete(self, options: dict[str, Any]) -> None:  # noqa: ARG002
        """Remove an object."""
        self.refuse(405, "not here")

    def do_GET(self) -> None:
        if self._ready():
            self.get()

    def do_POST(self) -> None:
        body = self._body()
        if self._ready():
            self.change(body)

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        options = self._body()
        if self._ready():
            self.delete(options)

    def _body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _ready(self) -> bool:
        """Note the request; False where it was refused for want of a token, or since the test asked."""
        self.held.requests.append((self.command, self.path.split("?")[0]))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "Unauthorized")
        elif self.held.trouble:
            self.refuse(self.held.trouble.pop(0), "as the test asked")
        else:
            return True
        return False


@contextmanager
def listening(folder: Path, handler: type[Handler], held: Held) -> Iterator[Path]:
    """The stand-in at work; yields the kubeconfig that leads to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (handler,), {"held": held}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    place = {"server": f"http://127.0.0.1:{server.server_port}"}
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": place}],
                "users": [{"name": "me", "user": {"token": TOKEN}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            }
        )
    )
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
