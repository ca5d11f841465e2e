"""Traffic for a server: requests whose right answers are known, sent on time whatever came before.

The client is aiohttp's, bodies are made before and answers judged after: on a machine of two cores, a client
that is slow itself (httpx looks through all its connections for each request) would be what is measured.
"""

import asyncio
import base64
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from trace_retriever.engine.encoded import Route
from trace_retriever.engine.engine import Engine
from trace_retriever.io.images import resolve_inside
from trace_retriever.mbeir.items import query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import TraceModel

WRONG = 1e-5  # largest difference of an entry from the single answer's


@dataclass(frozen=True)
class Question:
    """A request and its answer.

    Attributes:
        body: of the request, JSON, in bytes.
        route: what the model decides.
        vector: what it gives for the query alone, float32 [D].
        trace: what it writes.
    """

    body: bytes
    route: Route
    vector: NDArray[np.float32]
    trace: str


@dataclass
class Outcome:
    """What became of one request: its status and body, 0 where there was no answer at all; milliseconds."""

    question: Question
    status: int
    milliseconds: float
    answer: bytes = b""

    @property
    def route(self) -> Route:
        """Of the question."""
        return self.question.route


@dataclass
class Load:
    """The outcomes of a stretch of traffic."""

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: float = 0.0

    def figures(self) -> dict[str, Any]:
        """Counts, and percentiles of what was answered, by route."""
        answered = [one for one in self.outcomes if one.status == 200]
        return {
            "seconds": self.seconds,
            "sent": len(self.outcomes),
            "answered": len(answered),
            "refused": sum(one.status == 503 for one in self.outcomes),
            "late": sum(one.status == 504 for one in self.outcomes),
            "failed": sum(one.status not in (0, 200, 503, 504) for one in self.outcomes),
            "lost": sum(one.status == 0 for one in self.outcomes),
            "wrong": sum(_wrong(one) for one in answered),
            "answered_per_second": len(answered) / self.seconds,
            "milliseconds": {
                route: percentiles([one.milliseconds for one in answered if one.route == route])
                for route in ("simple", "complex")
            },
        }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99, and how many there were."""
    if not values:
        return {"count": 0}
    found = np.percentile(values, [50, 95, 99]).tolist()
    return {"count": len(values), **dict(zip(("p50", "p95", "p99"), found, strict=True))}


def read_questions(model: TraceModel, layout: Layout, most: int, seed: int) -> dict[Route, list[Question]]:
    """Test queries with their single answers, by the route that the model takes; at most so many of each."""
    queries = [(query, pair) for pair in layout.pairs("test") for query in layout.queries(pair, "test")]
    random.Random(seed).shuffle(queries)
    engine = Engine(model, slots=1, route_threshold=model.settings.route_threshold)
    found: dict[Route, list[Question]] = {"simple": [], "complex": []}
    for query, pair in queries:
        (encoded,) = engine.encode([query_item(layout, query, pair)])
        if len(found[encoded.route]) < most:
            parts = {"text": query.query_txt, "instruction": layout.instructions.prompt(pair, 0)}
            if query.query_img_path:
                content = resolve_inside(layout.images, query.query_img_path).read_bytes()
                parts["image"] = base64.b64encode(content).decode()
            question = Question(_body(parts), encoded.route, encoded.vector("auto"), encoded.trace)
            found[encoded.route].append(question)
        if all(len(kind) == most for kind in found.values()):
            break
    return found


def _body(parts: dict[str, str | None]) -> bytes:
    given = {name: value for name, value in parts.items() if value}
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": [value]} for name, value in given.items()
    ]
    return json.dumps({"inputs": inputs}).encode()


def mixed(questions: dict[Route, list[Question]], count: int, seed: int) -> list[Question]:
    """Half simple, half complex, in random order, with repeats where there are not so many."""
    rng = random.Random(seed)
    chosen = [rng.choice(questions[route]) for route in ("simple", "complex") for _ in range(count // 2)]
    rng.shuffle(chosen)
    return chosen


async def ask(client: aiohttp.ClientSession, path: str, question: Question) -> Outcome:
    """Send one request."""
    start = time.perf_counter()
    try:
        async with client.post(path, data=question.body) as answer:
            body = await answer.read()
            return Outcome(question, answer.status, 1000 * (time.perf_counter() - start), body)
    except aiohttp.ClientError:
        return Outcome(question, 0, 1000 * (time.perf_counter() - start))


def _wrong(outcome: Outcome) -> bool:
    outputs = {one["name"]: one["data"] for one in json.loads(outcome.answer)["outputs"]}
    question = outcome.question
    far = np.abs(np.array(outputs["embedding"], np.float32) - question.vector).max() > WRONG
    return bool(far) or outputs["trace"] != [question.trace] or outputs["route"] != [question.route]


async def closed(url: str, path: str, questions: Sequence[Question], clients: int) -> Load:
    """So many clients, each of which asks again when it has its answer."""
    load, waiting = Load(), list(reversed(questions))

    async def one(client: aiohttp.ClientSession) -> None:
        while waiting:
            load.outcomes.append(await ask(client, path, waiting.pop()))

    async with _client(url) as client:
        start = time.perf_counter()
        await asyncio.gather(*(one(client) for _ in range(clients)))
        load.seconds = time.perf_counter() - start
    return load


async def opened(url: str, path: str, questions: Sequence[Question], rate: float, seed: int) -> Load:
    """Requests at random times (Poisson), so many a second, whatever becomes of the earlier ones."""
    times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, len(questions))).tolist()
    async with _client(url) as client:
        start = time.perf_counter()

        async def one(at: float, question: Question) -> Outcome:
            await asyncio.sleep(max(0.0, start + at - time.perf_counter()))
            return await ask(client, path, question)

        outcomes = await asyncio.gather(*(one(*pair) for pair in zip(times, questions, strict=True)))
        return Load(list(outcomes), time.perf_counter() - start)


def _client(url: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=120.0),
        headers={"Content-Type": "application/json"},
    )
