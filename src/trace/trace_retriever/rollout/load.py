"""Open-loop load: requests arrive when they arrive, however long the answers take; each answer is checked."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from trace_retriever.rollout.references import Reference

if TYPE_CHECKING:
    import httpx

REFUSED = (429, 503)
MOST_REASONS = 5


@dataclass
class Load:
    """What came back.

    Attributes:
        ok, refused, failed, wrong: how many; a wrong answer is one that is not the expected embedding.
        worst: largest difference of a component from the expected.
        seconds: of each answer that was ok.
        reasons: of the first that failed or were wrong.
    """

    ok: int = 0
    refused: int = 0
    failed: int = 0
    wrong: int = 0
    worst: float = 0.0
    seconds: list[float] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """How many requests were sent; each one ended in one of the four ways."""
        return self.ok + self.refused + self.failed + self.wrong

    def figures(self) -> dict[str, Any]:
        """For logs and people."""
        p99 = float(np.quantile(self.seconds, 0.99)) if self.seconds else None
        counts = {name: getattr(self, name) for name in ("sent", "ok", "refused", "failed", "wrong")}
        return {**counts, "worst": self.worst, "p99_seconds": p99 and round(p99, 4)}


@dataclass(frozen=True)
class Shape:
    """How requests arrive: `count` of them (None: until they are stopped), `rate` a second, Poisson."""

    rate: float
    count: int | None = None
    seed: int = 1
    timeout: float = 30.0
    tolerance: float = 1e-3


def run_load(
    address: str, model: str, queries: Sequence[Reference], shape: Shape, stop: Event | None = None
) -> Load:
    """Send requests and wait for all answers.

    Args:
        address: of the server or the split.
        model: its name on the wire.
        queries: drawn from at random.
        shape: of the load.
        stop: ends it early.
    """
    load = Load()
    asyncio.run(_run(f"{address}/v2/models/{model}/infer", queries, shape, stop or Event(), load))
    return load


async def _run(url: str, queries: Sequence[Reference], shape: Shape, stop: Event, load: Load) -> None:
    import httpx

    draw, waiting = random.Random(shape.seed), set[asyncio.Task[None]]()
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=shape.timeout, trust_env=False, limits=limits) as client:
        number, due = 0, time.monotonic()
        while not stop.is_set() and (shape.count is None or number < shape.count):
            due += draw.expovariate(shape.rate)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            query = draw.choice(queries)
            headers = {"x-request-id": f"load-{shape.seed}-{number}"}
            task = asyncio.create_task(_one(client, url, query, headers, shape.tolerance, load))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            number += 1
        await asyncio.gather(*waiting)


async def _one(
    client: "httpx.AsyncClient",
    url: str,
    query: Reference,
    headers: dict[str, str],
    tolerance: float,
    load: Load,
) -> None:
    """One request; however it ends, it is counted once."""
    import httpx

    began = time.monotonic()
    try:
        answer = await client.post(url, json=query.body(), headers=headers)
        if answer.status_code in REFUSED:
            load.refused += 1
        elif answer.status_code != 200:
            load.failed += 1
            _why(load, f"{answer.status_code}: {answer.text[:200]}")
        else:
            _check(query, answer.json(), tolerance, load)
            load.seconds.append(time.monotonic() - began)
    except (httpx.HTTPError, ValueError) as error:
        load.failed += 1
        _why(load, f"{type(error).__name__}: {error}")


def _check(query: Reference, answer: Any, tolerance: float, load: Load) -> None:
    difference = difference_of(query, answer)
    load.worst = max(load.worst, difference)
    if difference <= tolerance:
        load.ok += 1
    else:
        load.wrong += 1
        _why(load, f"an embedding differs by {difference:.3g}, allowed {tolerance:g}")


def _why(load: Load, reason: str) -> None:
    if len(load.reasons) < MOST_REASONS:
        load.reasons.append(reason)


def difference_of(query: Reference, answer: Any) -> float:
    """Largest difference of a component from what is expected; infinite where it is no such embedding."""
    try:
        [found] = [output for output in answer["outputs"] if output["name"] == "embedding"]
        vector = np.asarray(found["data"], np.float64).reshape(-1)
    except (KeyError, TypeError, ValueError):
        return float("inf")
    if not vector.size or not np.isfinite(vector).all():
        return float("inf")
    if query.expected is None:
        return 0.0
    if vector.shape != query.expected.shape:
        return float("inf")
    return float(np.abs(vector - query.expected).max())
