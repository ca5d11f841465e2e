"""A stand-in for Prometheus on loopback: two sides' counters, which grow with each look."""

import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOUNDS = ("0.1", "0.5", "1.0", "+Inf")


@dataclass
class Prometheus:
    """What the server says.

    Attributes:
        errors: pod prefix → share of requests that fail.
        down: the next looks get a 503.
        silent: pod prefixes whose looks all get one.
        each: requests of a side between two looks.
    """

    errors: dict[str, float] = field(default_factory=dict)
    down: int = 0
    silent: set[str] = field(default_factory=set)
    each: int = 60
    queries: list[str] = field(default_factory=list)
    counts: dict[str, list[int]] = field(default_factory=dict)
    address: str = ""

    def vector(self, prefix: str) -> list[dict[str, Any]]:
        ok, failed = self.counts.setdefault(prefix, [0, 0])
        share = next((value for name, value in self.errors.items() if prefix.startswith(name)), 0.0)
        new = sum(random.Random(ok + failed + n).random() < share for n in range(self.each))
        self.counts[prefix] = [ok + self.each - new, failed + new]
        ok, failed = self.counts[prefix]
        labels = {"pod": f"{prefix}-5d8-xk2", "instance": "10.0.0.1:8080", "route": "simple"}
        rows = [
            ({"__name__": "trace_requests_total", "outcome": outcome, **labels}, count)
            for outcome, count in (("ok", ok), ("error", failed))
        ]
        rows += [({"__name__": "trace_request_seconds_bucket", "le": le, **labels}, ok) for le in BOUNDS]
        return [{"metric": metric, "value": [1.0, str(count)]} for metric, count in rows]


class _Handler(BaseHTTPRequestHandler):
    held: Prometheus

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        [query] = parse_qs(urlsplit(self.path).query)["query"]
        self.held.queries.append(query)
        match = re.search(r'pod=~"([^"]+)-\.\*"', query)
        if self.held.down or not match or match[1] in self.held.silent:
            self.held.down = max(0, self.held.down - 1)
            self.send_error(503)
            return
        data = {"resultType": "vector", "result": self.held.vector(match[1])}
        content = json.dumps({"status": "success", "data": data}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def scraping() -> Iterator[Prometheus]:
    """The stand-in at work."""
    held = Prometheus()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"held": held}))
    held.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
