"""A server under load: simple and complex queries, half and half, at one, two and three times its capacity.

    python benchmarks/serving.py            → benchmarks/results/serving.json
    python benchmarks/serving.py --quick    small samples, to see that it works

The server is `trace serve`, with its processes; traffic is open loop: a slow answer does not delay the next
question. Capacity is the highest rate of such traffic, from the closed loop's downwards, of which nothing is
refused in two stretches in a row; the second is what is measured, beside smaller shares of that rate. Every
answer is compared with what the engine gives for the query alone.
"""

import gc
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import httpx
import torch
from serving_rounds import CLIENTS, Questions, Round, play, pooled, stream, summary
from serving_traffic import read_questions
from timing import Results, environment

from trace_retriever.io.files import read_json, write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model

P99 = "p99 of simple queries at 1x, times unloaded, median of the rounds"
ROUNDS = "rounds: "  # section of a server's rounds
SEED = 0
STARTS = 300.0  # seconds that a server may take to start


@dataclass
class Server:
    """A running server: its address and its process."""

    url: str
    process: subprocess.Popen[bytes]

    def peak_bytes(self) -> int:
        """The most memory that it and its own processes held so far, each at its own time."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sum(_peak(pid) for pid in (self.process.pid, *map(int, children)))


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
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
    servers: dict[str, Server],
    questions: Questions,
    results: Results,
    count: int,
    seconds: float,
    rounds: int,
) -> None:
    """Rounds of all servers in turn; then the first one beyond its capacity."""
    played: dict[str, list[Round]] = {name: [] for name in servers}
    for server in servers.values():  # connections and caches
        play(server.url, questions, max(8, count // 10), 1.0, SEED)
    for number in range(rounds):
        for name, server in servers.items():
            played[name].append(play(server.url, questions, count, seconds, SEED + 10 * (number + 1)))
            click.echo(f"round {number + 1}, {name}: {_short(played[name][-1].figures())}")
    for name, found in played.items():
        results.add(f"{ROUNDS}{name}", summary(found))
    name, server = next(iter(servers.items()))
    own = played[name]
    results.add("unloaded", pooled([one.alone for one in own]))
    results.add("capacity", {**pooled([one.full for one in own]), "clients": CLIENTS})
    rate = median(one.rate for one in own)
    figures = {**pooled([one.opened for one in own]), "rate": rate, "peak_bytes": server.peak_bytes()}
    results.add("open_1x", figures)
    for times in (2, 3):
        load = stream(server.url, questions, times * rate, 2 * seconds, SEED + times)
        figures = {**load.figures(), "rate": times * rate, "peak_bytes": server.peak_bytes()}
        results.add(f"open_{times}x", figures)
        _say(f"{times}x capacity", figures)


def _short(figures: dict[str, float]) -> str:
    return ", ".join(f"{key} {value:.3g}" for key, value in figures.items())


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

    first = next(name for name in sections if name.startswith(ROUNDS))
    hold(P99, sections[first]["median"]["ratio"], 2.0)
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
@click.option(
    "--beside", multiple=True, metavar="KEY=VALUE", help="A server with these bounds is measured in turn."
)
@click.option("--rounds", default=7, show_default=True, help="Of all servers in turn.")
@click.option(
    "--count",
    default=600,
    show_default=True,
    help="Simple queries alone in a round; in the loop twice as many.",
)
@click.option("--seconds", default=8.0, show_default=True, help="Of each stretch of open traffic.")
@click.option("--quick", is_flag=True, help="Two rounds of 40 queries, three seconds each.")
def main(
    model: Path,
    dataset: Path,
    out: Path,
    settings: tuple[str, ...],
    beside: tuple[str, ...],
    rounds: int,
    count: int,
    seconds: float,
    quick: bool,
) -> None:
    """Measure, write the results, and say which targets hold."""
    torch.set_num_threads(1)
    rounds, count, seconds = (2, 40, 3.0) if quick else (rounds, count, seconds)
    questions = read_questions(load_model(model), Layout(dataset), max(20, count), SEED)
    if not all(questions.values()):
        raise click.UsageError("this model takes all queries one way: nothing to mix")
    about = {"seed": SEED, "settings": list(settings), "questions": {k: len(v) for k, v in questions.items()}}
    gc.collect()
    gc.freeze()  # the client does not stop for its own garbage
    results = Results(out, {**environment(), **about})
    variants = {"as it is": settings} | ({" ".join(beside): (*settings, *beside)} if beside else {})
    with ExitStack() as stack:
        servers = {name: stack.enter_context(serving(model, given)) for name, given in variants.items()}
        measure(servers, questions, results, count, seconds, rounds)
        for server in servers.values():
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
