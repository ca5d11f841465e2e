"""A server under load: simple and complex queries, half and half, at one, two and three times its capacity.

    python benchmarks/serving.py            → benchmarks/results/serving.json
    python benchmarks/serving.py --quick    small samples, to see that it works

The server is `trace serve` in a process of its own; traffic is open loop, so that a slow answer does not
delay the next question. Every answer is compared with what the engine gives for the query alone.
"""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import torch
from serving_traffic import Load, Question, closed, mixed, opened, read_questions
from timing import Results, environment

from trace_retriever.io.files import read_json, write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model

PATH = "/v2/models/trace-retriever/infer"
SEED = 0
CLIENTS = 48  # of the closed loop that measures the capacity: more than there are slots
STARTS = 300.0  # seconds that a server may take to start


@dataclass
class Server:
    """A running server: its address and its process."""

    url: str
    process: subprocess.Popen[bytes]

    def peak_bytes(self) -> int:
        """The most memory that it held so far."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
        (found,) = [line for line in lines if line.startswith("VmHWM:")]
        return int(found.split()[1]) << 10


@contextmanager
def serving(model: Path, settings: tuple[str, ...]) -> Iterator[Server]:
    """`trace serve` in a process of its own, drained at the end."""
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        ports = ["--http-port", "0", "--grpc-port", "0"]
        options = [part for setting in settings for part in ("--set", setting)]
        code = "from trace_retriever.cli import main; main()"
        command = [sys.executable, "-c", code, "serve", "--model", str(model), *ports, *options]
        process = subprocess.Popen(command, stderr=log)
        try:
            yield Server(f"http://127.0.0.1:{_port(process, Path(log.name))}", process)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
            process.wait()


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    until = time.monotonic() + STARTS
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{") and (found := json.loads(line))["message"] == "serving":
                return int(found["http"])
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def measure(
    server: Server, questions: dict[Any, list[Question]], results: Results, count: int, seconds: float
) -> None:
    """Unloaded, at capacity, and open loop at multiples of it."""
    simple = [question for question in mixed(questions, 2 * count, SEED) if question.route == "simple"]
    _run(closed(server.url, PATH, simple[: max(8, count // 10)], 1))  # connections and caches
    unloaded = _run(closed(server.url, PATH, simple, 1))
    results.add("unloaded", {**unloaded.figures(), "queries": "simple, one at a time"})
    full = _run(closed(server.url, PATH, mixed(questions, count, SEED + 1), CLIENTS))
    capacity = full.figures()["answered_per_second"]
    results.add("capacity", {**full.figures(), "clients": CLIENTS})
    for times in (1, 2, 3):
        rate = times * capacity
        asked = mixed(questions, 2 * max(10, round(rate * seconds / 2)), SEED + 1 + times)
        load = _run(opened(server.url, PATH, asked, rate, SEED + times))
        figures = {**load.figures(), "rate": rate, "peak_bytes": server.peak_bytes()}
        results.add(f"open_{times}x", figures)
        _say(f"{times}x capacity", figures)


def _run(traffic: Any) -> Load:
    found: Load = asyncio.run(traffic)
    return found


def _say(name: str, figures: dict[str, Any]) -> None:
    keys = ("sent", "answered", "refused", "late", "failed", "lost", "wrong")
    click.echo(f"{name}: " + ", ".join(f"{key} {figures[key]}" for key in keys))
    for route, found in figures["milliseconds"].items():
        shown = ", ".join(f"{key} {value:.1f}" for key, value in found.items() if key != "count")
        click.echo(f"  {route:<8} {found['count']} answered; ms: {shown}")


def targets(sections: dict[str, Any]) -> dict[str, Any]:
    """What the server is held to: name → value, bound and whether it holds."""
    rows: dict[str, Any] = {}

    def hold(name: str, value: float, bound: float) -> None:
        rows[name] = {"value": value, "bound": bound, "holds": value <= bound}

    alone = sections["unloaded"]["milliseconds"]["simple"]["p99"]
    loaded = sections["open_1x"]["milliseconds"]["simple"].get("p99", float("inf"))
    hold("p99 of simple queries at 1x, times unloaded", loaded / alone, 2.0)
    for times in (1, 2, 3):
        for kind in ("wrong", "lost", "failed"):
            hold(f"{kind} at {times}x", sections[f"open_{times}x"][kind], 0)
    growth = sections["open_3x"]["peak_bytes"] / sections["open_1x"]["peak_bytes"]
    hold("peak memory at 3x, times that at 1x", growth, 1.25)
    return rows


@click.command()
@click.option(
    "--model", type=click.Path(path_type=Path), default=Path("models/registered"), show_default=True
)
@click.option("--dataset", type=click.Path(path_type=Path), default=Path("data/mbeir"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/serving.json"))
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="A bound of the server; repeatable."
)
@click.option("--count", default=600, show_default=True, help="Queries unloaded, and at capacity.")
@click.option("--seconds", default=30.0, show_default=True, help="Of each stretch of open traffic.")
@click.option("--quick", is_flag=True, help="40 queries, three seconds each.")
def main(
    model: Path, dataset: Path, out: Path, settings: tuple[str, ...], count: int, seconds: float, quick: bool
) -> None:
    """Measure, write the results, and say which targets hold."""
    torch.set_num_threads(1)
    count, seconds = (40, 3.0) if quick else (count, seconds)
    questions = read_questions(load_model(model), Layout(dataset), max(20, count // 4), SEED)
    if not all(questions.values()):
        raise click.UsageError("this model takes all queries one way: nothing to mix")
    about = {"seed": SEED, "settings": list(settings), "questions": {k: len(v) for k, v in questions.items()}}
    gc.collect()
    gc.freeze()  # the client does not stop for its own garbage
    results = Results(out, {**environment(), **about})
    with serving(model, settings) as server:
        measure(server, questions, results, count, seconds)
        with httpx.Client(base_url=server.url) as client:
            client.get("/v2/health/ready").raise_for_status()
    found = read_json(out)
    found["targets"] = targets(found["sections"])
    write_json(out, found)
    for name, row in found["targets"].items():
        click.echo(
            f"{'ok  ' if row['holds'] else 'MISS'} {name}: {row['value']:.3g} (bound {row['bound']:g})"
        )


if __name__ == "__main__":
    main()
