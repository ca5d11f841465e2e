"""A server on loopback that speaks what submitting needs of the KFP v2beta1 API, with faults on demand."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

PREFIX = "/apis/v2beta1"


class Api(ThreadingHTTPServer):
    """The server's state: experiments, runs, and what is to go wrong.

    Attributes:
        token: what a request must carry; None lets everybody in.
        faults: (method, path) → statuses to answer with, one a request, before it answers well. 0 drops the
            connection unread; -1 does what was asked, then drops it.
        states: what a run is in, one look after the other; the last one stays.
        requests: (method, path, authorization) of each request.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.token: str | None = None
        self.faults: dict[tuple[str, str], list[int]] = {}
        self.states = ["PENDING", "RUNNING", "SUCCEEDED"]
        self.experiments: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.looks: dict[str, int] = {}
        self.requests: list[tuple[str, str, str | None]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def look(self, run: str) -> dict[str, Any]:
        place = min(self.looks.get(run, 0), len(self.states) - 1)
        self.looks[run] = place + 1
        state = self.states[place]
        tasks = [{"task_id": "1", "display_name": "prepare", "state": state}]
        about = {**self.runs[run], "state": state, "run_details": {"task_details": tasks}}
        return about | ({"error": {"code": 9, "message": "prepare broke"}} if state == "FAILED" else {})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A dropped connection is what was asked for."""


class Handler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer("GET")

    def do_POST(self) -> None:
        self.answer("POST")

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url, api = urlparse(self.path), self.server
        path = url.path.removeprefix(PREFIX)
        api.requests.append((method, path, self.headers.get("Authorization")))
        fault = next(iter(api.faults.get((method, path), [])), None)
        if fault is not None:
            api.faults[method, path].pop(0)
        if fault == 0:
            self.drop()
            return
        if fault is not None and fault > 0:
            self.reply(fault, {"error": "fault", "message": "out of order"})
            return
        if api.token and self.headers.get("Authorization") != f"Bearer {api.token}":
            self.reply(401, {"message": "who are you?"})
            return
        status, content = self.work(method, path, parse_qs(url.query), json.loads(body or b"{}"))
        if fault == -1:
            self.drop()
            return
        self.reply(status, content)

    def work(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        api = self.server
        wanted = [p["stringValue"] for p in json.loads(query.get("filter", ["{}"])[0]).get("predicates", [])]
        match method, path.strip("/").split("/"):
            case "GET", ["experiments"]:
                found = [e for e in api.experiments if e["display_name"] in wanted]
                return 200, {"experiments": found}
            case "POST", ["experiments"]:
                api.experiments.append({**body, "experiment_id": str(uuid.uuid4())})
                return 200, api.experiments[-1]
            case "GET", ["runs"]:
                return 200, {"runs": [run for run in api.runs.values() if run["display_name"] in wanted]}
            case "POST", ["runs"]:
                run = str(uuid.uuid4())
                api.runs[run] = {**body, "run_id": run, "state": "PENDING"}
                return 200, api.runs[run]
            case "GET", ["runs", run] if run in api.runs:
                return 200, api.look(run)
        return 404, {"message": f"no {path}"}

    def drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def reply(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@contextmanager
def serve() -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.shutdown()
        thread.join()
        api.server_close()
