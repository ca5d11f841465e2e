"""A small process that speaks what a rollout needs of `trace serve`; its command line chooses its faults.

Run by path, without the package: it starts in a moment.
"""

import argparse
import json
import os
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

BOUNDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--version", default="1")
    parser.add_argument("--errors", type=float, default=0.0)
    parser.add_argument("--refuse", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--die-after", type=int, default=0)
    parser.add_argument("--break-after", type=int, default=0)
    parser.add_argument("--never-ready", action="store_true")
    parser.add_argument("--no-metrics", action="store_true")
    return parser.parse_args()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    how: argparse.Namespace
    lock = threading.Lock()
    draw = random.Random(3)
    asked = 0
    outcomes: ClassVar[dict[str, int]] = {}
    buckets: ClassVar[list[int]] = [0] * (len(BOUNDS) + 1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: Any) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _note(self, outcome: str, seconds: float) -> None:
        with self.lock:
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
            place = next((i for i, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
            self.buckets[place] += outcome == "ok"

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready":
            self._answer(503 if self.how.never_ready else 200, {"ready": True})
        elif self.path == "/metrics" and not self.how.no_metrics:
            self._answer(200, self._metrics())
        else:
            self._answer(404, {"error": "nothing here"})

    def _metrics(self) -> str:
        lines = ["# TYPE trace_requests_total counter"]
        with self.lock:
            for outcome, count in self.outcomes.items():
                lines.append(f'trace_requests_total{{route="simple",outcome="{outcome}"}} {count}')
            lines.append("# TYPE trace_request_seconds histogram")
            total = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.buckets, strict=True):
                total += count
                lines.append(f'trace_request_seconds_bucket{{route="simple",le="{bound}"}} {total}')
        return "\n".join([*lines, f'trace_request_seconds_count{{route="simple"}} {total}', ""])

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        began = time.monotonic()
        with self.lock:
            type(self).asked += 1
            number, chance = self.asked, self.draw.random()
        if self.how.die_after and number > self.how.die_after:
            os._exit(9)
        time.sleep(self.how.delay)
        if self.how.break_after and number > self.how.break_after:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"outputs": [')
            self.close_connection = True
            self._note("error", time.monotonic() - began)
        elif chance < self.how.errors:
            self._note("error", time.monotonic() - began)
            self._answer(500, {"error": "as the test asked"})
        elif chance < self.how.errors + self.how.refuse:
            self._note("refused", time.monotonic() - began)
            self._answer(503, {"error": "full"})
        else:
            self._note("ok", time.monotonic() - began)
            text = json.loads(body)["inputs"][0]["data"][0]
            data = [float(len(text)), float(self.how.version)]
            output = {"name": "embedding", "shape": [1, 2], "datatype": "FP32", "data": data}
            self._answer(200, {"outputs": [output], "version": self.how.version})


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    Handler.how = options()
    Server(("127.0.0.1", Handler.how.port), Handler).serve_forever()
