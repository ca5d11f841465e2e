import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from tests.serving.running import Served, come_and_go, endless

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.engine import Engine
from trace_retriever.errors import CheckpointError, ImageError
from trace_retriever.mbeir.items import query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.items import Item
from trace_retriever.serving.errors import Broken, Busy, DeadlineExceeded, Stopping
from trace_retriever.serving.worker import Worker
from trace_retriever.store.embeddings import Embeddings

Made = Callable[..., Worker]
Result = TypeVar("Result")
REASONS: tuple[Reason, ...] = ("auto", "never", "always")


@pytest.fixture(scope="module")
def items(served: Served) -> list[Item]:
    """The benchmark's test queries: words, and words with pictures."""
    layout = Layout(served.dataset)
    return [
        query_item(layout, query, pair)
        for pair in layout.pairs("test")
        for query in layout.queries(pair, "test")
    ]


@pytest.fixture
def make(served: Served) -> Iterator[Made]:
    """Workers that have started, and end with the test."""
    made: list[Worker] = []

    def worker(**settings: Any) -> Worker:
        made.append(Worker(served.load(), ServeSettings(**{"slots": 4, "max_items": 1, **settings})))
        asyncio.run(made[-1].start())
        return made[-1]

    yield worker
    for one in made:
        asyncio.run(one.drain(0.0))


def slowed(worker: Worker, seconds: float = 0.005) -> None:
    """Have each decoding step take its time, as those of a large model do."""
    step = worker.core.scheduler.step

    def slow() -> Any:
        time.sleep(seconds)
        return step()

    worker.core.scheduler.step = slow  # type: ignore[method-assign]


async def together(calls: Sequence[Awaitable[Result]]) -> list[Result | BaseException]:
    return list(await asyncio.gather(*calls, return_exceptions=True))


def run(*calls: Awaitable[Result]) -> list[Result | BaseException]:
    return asyncio.run(together(calls))


def test_what_comes_together_equals_what_comes_alone(served: Served, make: Made, items: list[Item]) -> None:
    alone = Engine(served.load(), slots=1)
    wanted = {reason: [next(alone.encode([item], reason=reason)) for item in items] for reason in REASONS}
    assert {one.route for one in wanted["auto"]} == {"simple", "complex"}
    worker = make(turn_tokens=64)

    async def mixed() -> dict[Reason, list[Encoded]]:
        found = {reason: [worker.encode(item, reason=reason) for item in items] for reason in REASONS}
        return {reason: list(await asyncio.gather(*calls)) for reason, calls in found.items()}

    for reason, found in asyncio.run(mixed()).items():
        for own, other in zip(found, wanted[reason], strict=True):
            assert own.trace_ids == other.trace_ids
            assert (own.route, own.truncated, own.fallback) == (other.route, other.truncated, other.fallback)
            np.testing.assert_allclose(own.vector(reason), other.vector(reason), atol=1e-5)


def test_vectors_are_those_of_embed(served: Served, make: Made, items: list[Item]) -> None:
    stored = Embeddings.load(served.embeddings)
    vectors = np.concatenate([stored.of(name, "test")[1] for name in stored.pairs("test")])
    worker = make()
    found = run(*(worker.encode(item, reason="always") for item in items))
    for own, (direct, reasoned) in zip(found, vectors, strict=True):
        assert isinstance(own, Encoded)
        np.testing.assert_allclose(own.direct, direct, atol=1e-5)
        np.testing.assert_allclose(own.reasoned, reasoned, atol=1e-5)


def test_what_never_reasons_decodes_nothing(make: Made, items: list[Item]) -> None:
    worker = make()
    before = worker.core.scheduler.counters.decode_steps
    found = run(*(worker.encode(item, reason="never") for item in items))
    assert all(isinstance(one, Encoded) and one.trace == "" for one in found)
    assert worker.core.scheduler.counters.decode_steps == before


def test_a_simple_query_is_answered_while_every_slot_and_the_queue_are_taken(make: Made) -> None:
    worker = make(slots=2, max_reasoning=3)
    endless(worker)

    async def scene() -> None:
        long = [asyncio.create_task(worker.encode(Item("after red"), reason="always")) for _ in range(5)]
        while worker.status().slots_used < 2 or worker.status().reasoning < 3:
            await asyncio.sleep(0.005)
        simple = await worker.encode(Item("square of gold"), reason="never")
        assert simple.trace == ""
        assert not any(task.done() for task in long)
        for task in long:
            task.cancel()
        await asyncio.gather(*long, return_exceptions=True)
        while worker.status().slots_used or worker.status().reasoning:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_rows_beyond_the_reasoning_queue_are_refused(make: Made) -> None:
    worker = make(slots=1, max_reasoning=2)
    endless(worker)

    async def scene() -> list[Any]:
        tasks = [asyncio.create_task(worker.encode(Item("after red"), reason="always")) for _ in range(6)]
        while worker.status().reasoning < 2 or sum(task.done() for task in tasks) < 3:
            await asyncio.sleep(0.005)
        late = await together([worker.encode(Item("after red"), reason="always")])
        refused = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [*refused, *late]

    found = asyncio.run(asyncio.wait_for(scene(), 30))
    assert len(found) == 4
    assert all(isinstance(one, Busy) and not isinstance(one, Stopping) for one in found)


def test_the_reasoning_queue_is_bounded_in_bytes(served: Served, items: list[Item]) -> None:
    worker = Worker(served.load(), ServeSettings(slots=1))
    worker.core.scheduler._most_bytes = 1  # not even one row's keys and values
    asyncio.run(worker.start())
    endless(worker)

    async def scene() -> list[BaseException | None]:
        tasks = [asyncio.create_task(worker.encode(items[0], reason="always")) for _ in range(4)]
        while sum(task.done() for task in tasks) < 3:
            await asyncio.sleep(0.005)
        refused = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return refused

    refused = asyncio.run(asyncio.wait_for(scene(), 30))
    asyncio.run(worker.drain(5.0))
    assert len(refused) == 3
    assert all(isinstance(one, Busy) for one in refused)


def test_a_full_queue_of_prompts_refuses(make: Made) -> None:
    worker = make(max_waiting=2)
    blocked = threading.Event()

    def slow() -> Item:
        blocked.wait(30)
        return Item("after red")

    async def scene() -> list[Any]:
        tasks = [asyncio.create_task(worker.encode(slow, reason="never")) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await together([worker.encode(Item("after red"), reason="never")])
        blocked.set()
        return [*refused, *await asyncio.gather(*tasks)]

    refused, *answered = asyncio.run(scene())
    assert isinstance(refused, Busy)
    assert refused.retry_after == worker.settings.retry_after
    assert all(isinstance(one, Encoded) for one in answered)


def test_a_deadline_ends_the_wait_and_frees_the_slot(make: Made) -> None:
    worker = make(slots=1)
    endless(worker)

    async def scene() -> None:
        with pytest.raises(DeadlineExceeded):
            await worker.encode(Item("after red"), reason="always", deadline=time.monotonic() + 0.2)
        with pytest.raises(DeadlineExceeded):
            await worker.encode(Item("after red"), deadline=time.monotonic() - 1.0)
        while worker.status().slots_used:
            await asyncio.sleep(0.005)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_the_trace_is_cut_where_the_request_says_but_never_later_than_the_server(
    make: Made, items: list[Item]
) -> None:
    worker = make(max_trace_tokens=6)
    endless(worker, cut=True)
    for asked, most in ((2, 2), (100, 6), (None, 6)):
        found = run(*(worker.encode(item, max_trace_tokens=asked) for item in items[:5]))
        assert [(one.trace_tokens, one.truncated) for one in found if isinstance(one, Encoded)] == [
            (most, True)
        ] * 5


def test_draining_finishes_what_is_there_and_refuses_what_is_new(make: Made, items: list[Item]) -> None:
    worker = make(slots=2)
    slowed(worker)

    async def scene() -> tuple[list[Any], bool, list[Any]]:
        tasks = [asyncio.create_task(worker.encode(item, reason="always")) for item in items[:12]]
        while not worker.status().slots_used:
            await asyncio.sleep(0.001)
        draining = asyncio.create_task(worker.drain(30.0))
        while worker.ready:
            await asyncio.sleep(0.001)
        late = await together([worker.encode(items[0])])
        return await together(tasks), await draining, late

    answered, whole, late = asyncio.run(scene())
    assert whole
    assert all(isinstance(one, Encoded) for one in answered)
    assert isinstance(late[0], Stopping)
    assert not worker.alive


def test_what_does_not_finish_in_time_is_refused_and_not_lost(make: Made) -> None:
    worker = make(slots=1)
    endless(worker)

    async def scene() -> tuple[list[Any], bool]:
        tasks = [asyncio.create_task(worker.encode(Item("after red"), reason="always")) for _ in range(3)]
        while not worker.status().slots_used:
            await asyncio.sleep(0.001)
        whole = await worker.drain(0.1)
        return await together(tasks), whole

    refused, whole = asyncio.run(asyncio.wait_for(scene(), 30))
    assert not whole
    assert all(isinstance(one, Stopping) for one in refused)


def test_a_fault_of_the_thread_answers_everybody(make: Made, items: list[Item]) -> None:
    worker = make(slots=2)

    def fault() -> Any:
        raise ZeroDivisionError

    async def scene() -> list[Any]:
        endless(worker)
        worker.core.scheduler.step = fault  # type: ignore[method-assign]
        found = await together([worker.encode(item, reason="always") for item in items])
        return [*found, *await together([worker.encode(items[0])])]

    found = asyncio.run(asyncio.wait_for(scene(), 30))
    assert all(isinstance(one, Broken) for one in found)
    assert not worker.alive


def test_one_broken_prompt_does_not_fail_those_beside_it(make: Made) -> None:
    worker = make(turn_tokens=100_000)
    enter = worker.core.scheduler.enter
    poison = worker.frame.prompter.ids("gold", 0, 1000)

    def checked(jobs: Any, reason: Reason) -> Any:
        if any(job.prompt.ids == poison for job in jobs):
            raise CheckpointError("the model's states are not finite")
        return enter(jobs, reason)

    worker.core.scheduler.enter = checked  # type: ignore[method-assign]
    names = ("red", "gold", "blue", "pink")
    found = run(*(worker.encode(Item(name)) for name in names))
    assert [isinstance(one, CheckpointError) for one in found] == [False, True, False, False]
    assert worker.alive


def test_an_item_that_cannot_be_made_ready_says_why(make: Made, tmp_path: Path) -> None:
    worker = make()
    with pytest.raises(ImageError, match="cannot be read"):
        asyncio.run(worker.encode(Item(None, tmp_path / "none.png")))
    assert worker.status().prompts == 0


def test_clients_that_come_and_go_leave_nothing_behind(make: Made, items: list[Item]) -> None:
    worker = make(slots=2, max_reasoning=4, max_waiting=8)

    async def scene() -> list[str]:
        outcomes = await come_and_go(worker, items, 0.2)
        while worker.status().slots_used or worker.status().reasoning or worker.status().prompts:
            await asyncio.sleep(0.005)
        return outcomes

    outcomes = asyncio.run(asyncio.wait_for(scene(), 60))
    assert "answered" in outcomes
    assert not worker.core.intake.unanswered
    assert not worker.core.scheduler._waiting
    assert worker.alive
    assert torch.is_tensor(worker.core.scheduler._slots.cache)
