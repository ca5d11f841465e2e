"""The engine: from items to vectors, at the machine's speed.

Plan (equal lengths side by side, by a budget of tokens), read pictures ahead, admit batches while rows that
reason keep the slots full. One rule holds throughout: a vector equals that of a teacher-forced forward over
the same trace, within rounding, whatever went through beside it.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

from tqdm import tqdm

from trace_retriever.engine.counters import Counters
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.engine.graphs import GraphedStep
from trace_retriever.engine.plan import batches, windows
from trace_retriever.engine.prompts import Prompt, ahead, plan_prompts, read_prompts
from trace_retriever.engine.scheduler import Done, Limits, Scheduler
from trace_retriever.io.progress import bar
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

WINDOW = 4096  # items that are sorted by length together, and held until all of them are done
READ_AHEAD = 2  # batches whose pictures are read while others are computed


class Engine:
    """Encodes items with one model; caches stay warm from call to call. Not for several threads at a time.

    Args:
        model: the model; put into evaluation mode while it works.
        slots: rows that write traces at a time.
        batch_tokens: positions of a batch of prompts, padding included.
        max_trace_tokens: limit of a trace; None takes the model's setting.
        route_threshold: `auto` takes a query as simple if P(`<|emb|>`) reaches this; None leaves it to the
            model's most probable first token.
        max_seconds: time after which a row that still writes is given up for its direct vector; None for no
            limit. With one, results depend on the clock.
        workers: threads that read pictures.
        vision_bytes: memory for features of pictures that may come again; a 7B model's picture of 256 tokens
            takes 1.8 MB in bfloat16.
        graphs: whether decoding steps are captured as CUDA graphs; None does where the model is on CUDA.
    """

    def __init__(
        self,
        model: TraceModel,
        *,
        slots: int = 64,
        batch_tokens: int = 8192,
        max_trace_tokens: int | None = None,
        route_threshold: float | None = None,
        max_seconds: float | None = None,
        workers: int = 2,
        vision_bytes: int = 256 << 20,
        graphs: bool | None = None,
    ) -> None:
        self.model = model
        self.batch_tokens = batch_tokens
        self.workers = workers
        limits = Limits(
            trace_tokens=max_trace_tokens or model.settings.max_trace_tokens,
            route_threshold=route_threshold,
            seconds=max_seconds,
        )
        self.scheduler = Scheduler(model, limits, slots=slots, vision_bytes=vision_bytes)
        if model.device.type == "cuda" if graphs is None else graphs:
            self.scheduler.graph(GraphedStep(self.scheduler.language))

    @property
    def counters(self) -> Counters:
        """What was done since the engine was made."""
        return self.scheduler.counters

    def encode(
        self, items: Sequence[Item], *, reason: Reason = "auto", what: str | None = None
    ) -> Iterator[Encoded]:
        """Encode queries, or candidates (which never reason: `reason="never"`).

        Args:
            items: what to encode.
            reason: "auto" decodes a trace where the route says so; "always" for every item, with `<|emb|>`
                banned as the first token; "never" for none.
            what: the name on the progress bar; None shows none.

        Yields:
            One `Encoded` an item, in input order.

        Raises:
            ImageError: a picture is missing or broken.
            CheckpointError: the model's states are not finite.
        """
        shown: tqdm[Any] | None = None if what is None else bar(what, total=len(items), unit="item")
        with nullcontext() if shown is None else shown, ThreadPoolExecutor(self.workers) as pool:
            for window in windows(len(items), WINDOW):
                results: dict[Any, Encoded] = {}
                for done in self._run([items[index] for index in window], reason, pool):
                    results.update(done)
                    if shown is not None:
                        shown.update(len(done))
                yield from (results[number] for number in range(len(window)))

    def _run(self, items: Sequence[Item], reason: Reason, pool: ThreadPoolExecutor) -> Iterator[Done]:
        prompts = plan_prompts(self.model, items, pool)
        planned = list(batches([len(prompt.ids) for prompt in prompts], self.batch_tokens))
        known = self.scheduler.vision.__contains__

        def read(batch: list[int]) -> tuple[list[int], list[Prompt]]:
            return batch, read_prompts(self.model, [prompts[row] for row in batch], known)

        try:
            for tickets, ready in ahead(planned, read, pool=pool, depth=READ_AHEAD):
                while self.scheduler.full:
                    yield self.scheduler.step()
                yield self.scheduler.admit(tickets, ready, reason)
            while self.scheduler.busy:
                yield self.scheduler.step()
        finally:
            self.scheduler.clear()
