"""What a request asks for, done: every query encoded beside all others, and looked up in one snapshot."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from trace_retriever.config.serve import ServeSettings
from trace_retriever.errors import DataError
from trace_retriever.io.images import ImageLimits
from trace_retriever.serving.errors import BadRequest, Busy, DeadlineExceeded
from trace_retriever.serving.front import Front
from trace_retriever.serving.identity import Identity
from trace_retriever.serving.metrics import Metrics
from trace_retriever.serving.prepare import Source
from trace_retriever.serving.queries import Answer, Asked, Options
from trace_retriever.serving.retrieve import Hit, Retriever, Snapshot


class Service:
    """A worker, an index and what counts them.

    Args:
        worker: started by `start`.
        identity: what is served.
        retriever: None where nothing can be searched.
    """

    def __init__(self, worker: Front, identity: Identity, retriever: Retriever | None = None) -> None:
        self.worker, self.identity, self.retriever = worker, identity, retriever
        self.settings: ServeSettings = worker.settings
        self.metrics = Metrics()
        self.metrics.watch(worker.status)
        self._limits = ImageLimits(
            max_bytes=self.settings.max_image_bytes, max_pixels=self.settings.max_image_pixels
        )
        self._retired = False
        self._searching = ThreadPoolExecutor(1, thread_name_prefix="trace-search")
        self._tell()

    async def start(self) -> None:
        """Warm up."""
        await self.worker.start()
        if self.retriever is not None:
            snapshot = self.retriever.snapshot
            first = snapshot.matrix[0:1][0].astype("float32")
            await asyncio.to_thread(snapshot.search, first, 1, None)

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return self.worker.ready and not self._retired

    def retire(self) -> None:
        """Be not ready from now on; what comes nevertheless is still answered."""
        self._retired = True

    async def drain(self, seconds: float) -> bool:
        """Finish what is there and take nothing new; whether all was done in time."""
        done = await self.worker.drain(seconds)
        await asyncio.to_thread(self._searching.shutdown, wait=True)
        return done

    async def answer(self, asked: Sequence[Asked], options: Options) -> list[Answer]:
        """Answer a request's queries; all of them, or none.

        Raises:
            BadRequest, DataError: something is malformed, out of bounds, or not there.
            Busy, DeadlineExceeded, Broken: see `Front.encode`.
        """
        snapshot = self._checked(options)
        deadline = time.monotonic() + (options.deadline_ms or self.settings.deadline_ms) / 1000
        if len(asked) == 1:  # a task more would cost as much as its words
            return [await self._one(0, asked[0], options, deadline, snapshot)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._one(number, one, options, deadline, snapshot))
                    for number, one in enumerate(asked)
                ]
        except* Exception as failed:
            raise _first(failed) from None
        return [task.result() for task in tasks]

    def swap(self, expected: str | None = None) -> str:
        """Put the index that is on disk now in use; blocks; see `Retriever.swap`.

        Raises:
            BadRequest: this server has no index.
            SwapRefused: the old one stays.
        """
        if self.retriever is None:
            raise BadRequest("this server has no index", remedy="start it with --embeddings")
        outcome = "refused"
        try:
            digest = self.retriever.swap(expected)
            outcome = "ok"
        finally:
            self.metrics.swaps.labels(outcome).inc()
        self._tell()
        return digest

    def _tell(self) -> None:
        index = "" if self.retriever is None else self.retriever.snapshot.digest
        self.metrics.serve(self.identity.version, self.identity.manifest, index)

    def _checked(self, options: Options) -> Snapshot | None:
        """The snapshot that all of a request's queries are looked up in."""
        if not options.k:
            return None
        if self.retriever is None:
            raise BadRequest("this server has no index", where="parameter k", remedy="ask with k = 0")
        self.retriever.snapshot.check(options.pool)
        return self.retriever.snapshot

    def _source(self, number: int, asked: Asked) -> Source:
        """The item; where decoding its picture takes a while, what makes it."""
        make = partial(asked.item, self._limits, f"query {number}")
        return make() if asked.quick(self._limits, f"query {number}") else make

    async def _one(
        self, number: int, asked: Asked, options: Options, deadline: float, snapshot: Snapshot | None
    ) -> Answer:
        start, outcome = time.monotonic(), "error"
        try:
            encoded = await self.worker.encode(
                self._source(number, asked),
                reason=options.reason,
                max_trace_tokens=options.max_trace_tokens,
                deadline=deadline,
            )
            vector = encoded.vector(options.reason)
            hits: tuple[Hit, ...] = ()
            if snapshot is not None:
                loop, search = (
                    asyncio.get_running_loop(),
                    partial(snapshot.search, vector, options.k, options.pool),
                )
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        hits = tuple(await loop.run_in_executor(self._searching, search))
                except TimeoutError:
                    raise DeadlineExceeded("no answer in time") from None
            self.metrics.answered(encoded, time.monotonic() - start)
            return Answer(encoded, options.reason, hits)
        except asyncio.CancelledError:
            self.metrics.failed("cancelled")
            raise
        except Exception as error:
            outcome = _outcome(error)
            self.metrics.failed(outcome)
            raise


def _outcome(error: Exception) -> str:
    if isinstance(error, Busy):
        return "refused"
    if isinstance(error, DeadlineExceeded):
        return "deadline"
    return "invalid" if isinstance(error, DataError | BadRequest) else "error"


def _first(failed: BaseExceptionGroup[Exception]) -> Exception:
    """The first of several errors: a request has one status."""
    first = failed.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
