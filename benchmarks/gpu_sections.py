"""What `gpu.py` measures, one function a section: each returns figures, and stops within its budget.

A fraction of roofline is the least time of the work (`roofline.py`, with the bandwidth and rate that the
section `device` measured) over the time it took.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from roofline import Device, Shape, Work, prefill_work, reasoning_seconds, step, training
from shapes import LARGE_SIZES, TINY_SIZES, Sizes, build, candidates, queries, tokens_of
from timing import Clock, clocks

from trace_retriever.engine.encoded import Encoded
from trace_retriever.engine.engine import Engine
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item

Figures = dict[str, Any]
GIB = 2**30
H200_PEAK = 989e12  # dense bfloat16 operations a second by the data sheet


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        sizes: of queries and candidates.
        items: a measurement's items.
        batch_tokens, slots: of the engine; `eager_slots` are measured without graphs too.
        rows: queries of a training step, and whether activations are recomputed.
        vectors, searches: candidates and queries of the search.
        matmul, copy: side of the matrix, bytes of the copy.
        workers: threads that read pictures.
    """

    sizes: Sizes
    items: int
    batch_tokens: tuple[int, ...]
    slots: tuple[int, ...]
    eager_slots: tuple[int, ...]
    rows: tuple[tuple[int, bool], ...]
    vectors: int
    searches: int
    matmul: int
    copy: int
    workers: int


FULL = Scale(
    sizes=LARGE_SIZES,
    items=384,
    batch_tokens=(8192, 16_384, 32_768),
    slots=(384, 128, 256, 64, 32),
    eager_slots=(128, 32),
    rows=((16, True), (4, False), (8, True), (32, True)),
    vectors=1_000_000,
    searches=10_000,
    matmul=8192,
    copy=8 * GIB,
    workers=12,
)
TINY = Scale(
    sizes=TINY_SIZES,
    items=6,
    batch_tokens=(128,),
    slots=(4, 2),
    eager_slots=(2,),
    rows=((2, True), (2, False)),
    vectors=2000,
    searches=20,
    matmul=128,
    copy=2**20,
    workers=1,
)


class Bench:
    """What the sections share: scale, device, model (built when first asked for), and the roofline.

    Args:
        device: where everything runs.
        tiny: everything at a size that a CPU does in seconds.
        known: figures of the section `device` if it was measured before.
    """

    def __init__(self, device: torch.device, *, tiny: bool, known: Figures | None = None) -> None:
        self.device, self.tiny, self.known = device, tiny, known
        self.scale = TINY if tiny else FULL
        self._model: TraceModel | None = None

    @property
    def model(self) -> TraceModel:
        """The network with random weights."""
        if self._model is None:
            self._model = build(self.device, tiny=self.tiny)
        return self._model

    def drop(self) -> None:
        """Forget the network: training changes it."""
        self._model = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @property
    def shape(self) -> Shape:
        """The network's numbers."""
        return Shape.of(self.model.config)

    @property
    def itemsize(self) -> int:
        """Bytes of a weight."""
        return 4 if self.tiny else 2

    def roof(self, clock: Clock) -> Device:
        """The device as measured, now if it was not before."""
        if self.known is None:
            self.known = measure_device(self, clock)
        return Device(self.known["bandwidth"], self.known["flops"])


def measure_device(bench: Bench, clock: Clock) -> Figures:
    """Copy bandwidth (bytes read and written) and the rate of a large matrix product on random data."""
    side, scale = bench.scale.matmul, bench.scale
    dtype = torch.float32 if bench.tiny else torch.bfloat16
    copied = _copy(bench, clock)
    left, right = (torch.randn(side, side, device=bench.device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    product = clock.measure(lambda _: [torch.mm(left, right, out=out) for _ in range(20)], inner=20)
    return {
        "bandwidth": 2 * scale.copy / copied["seconds"],
        "flops": 2 * side**3 / product["seconds"],
        "copy": copied,
        "product": product,
        "dtype": str(dtype),
        "clocks": clocks(),
    }


def _copy(bench: Bench, clock: Clock) -> Figures:
    """Copies within the device's memory, of data that no cache holds."""
    source = torch.empty(bench.scale.copy // 4, dtype=torch.float32, device=bench.device)
    target = torch.empty_like(source)
    return clock.measure(lambda _: [target.copy_(source) for _ in range(10)], inner=10)


def measure_encode(bench: Bench, clock: Clock) -> Figures:
    """Plain encoding: a query at several batch sizes, then each kind of candidate at the best of them."""
    spec, sizes, count = bench.model.pictures.spec, bench.scale.sizes, bench.scale.items
    found: list[Figures] = []
    for tokens in bench.scale.batch_tokens:
        if not found or clock.left > 0:
            found.append(_encode(bench, clock, tokens, lambda seed: queries(sizes, count, spec, seed=seed)))
    best = max(found, key=lambda one: one["items_per_second"])["batch_tokens"]
    kinds = {}
    for kind in ("text", "image", "both"):
        if clock.left > 0:
            kinds[kind] = _encode(bench, clock, best, _candidates(bench, kind))
    return {"queries": found, "candidates": kinds, "clocks": clocks()}


def _candidates(bench: Bench, kind: str) -> Callable[[int], list[Item]]:
    spec, scale = bench.model.pictures.spec, bench.scale
    return lambda seed: candidates(scale.sizes, kind, scale.items, spec, seed=seed)


def _encode(bench: Bench, clock: Clock, batch_tokens: int, items: Callable[[int], list[Item]]) -> Figures:
    """Throughput with pictures that were not seen before; cutting them is part of the work."""
    drawn = {number: items(number + 1) for number in range(-1, clock.repeats)}
    engine = Engine(bench.model, batch_tokens=batch_tokens, workers=bench.scale.workers)
    took = clock.measure(lambda number: list(engine.encode(drawn[number], reason="never")))
    tokens = tokens_of(bench.model, drawn[0])
    batch = max(1, batch_tokens // sum(tokens[0]))
    works = prefill_work(bench.shape, tokens, batch=batch, itemsize=bench.itemsize)
    least = sum(map(bench.roof(clock).seconds, works))
    counters = engine.counters
    return {
        "batch_tokens": batch_tokens,
        "items": len(tokens),
        "tokens": tokens[0],
        **took,
        "items_per_second": len(tokens) / took["seconds"],
        "roofline_items_per_second": len(tokens) / least,
        "roofline_fraction": least / took["seconds"],
        "padding": counters.prefill_slots / counters.prefill_tokens,
        "forward": _forward_alone(bench, clock, drawn[0][:batch], works[:1]),
    }


def _forward_alone(
    bench: Bench, clock: Clock, items: Sequence[Item], works: Sequence[Work]
) -> Figures | None:
    """The same batch with pictures already cut and on hand: what of the time is the network's own."""
    from trace_retriever.model.batch import Row, collate
    from trace_retriever.model.forward import hidden_states, last_states

    if clock.left <= 0:
        return None
    batch = collate(bench.model, [Row(item) for item in items])

    @torch.inference_mode()
    def run(_: int) -> torch.Tensor:
        return last_states(hidden_states(bench.model.network, batch), batch["lengths"])

    took = clock.measure(run)
    return {**took, "roofline_fraction": sum(map(bench.roof(clock).seconds, works)) / took["seconds"]}


def measure_reasoning(bench: Bench, clock: Clock) -> Figures:
    """Queries with a trace of a fixed length, at several numbers of slots, with decode graphs and without."""
    graphs = bench.device.type == "cuda"
    found: list[Figures] = []
    for slots in bench.scale.slots:
        for graphed in (True, False) if graphs and slots in bench.scale.eager_slots else (graphs,):
            if not found or clock.left > 0:
                found.append(_reason(bench, clock, slots, graphed))
    return {"traces": bench.scale.sizes.trace, "slots": found, "clocks": clocks()}


def _reason(bench: Bench, clock: Clock, slots: int, graphs: bool) -> Figures:
    """Two fillings of the slots; all traces have one length, so that rows come and go together."""
    sizes, spec, count = bench.scale.sizes, bench.model.pictures.spec, 2 * slots
    drawn = {number: queries(sizes, count, spec, seed=number + 1, pool=32) for number in (-1, 0, 1, 2)}
    batch_tokens = bench.scale.batch_tokens[-1]
    engine = Engine(
        bench.model,
        slots=slots,
        batch_tokens=batch_tokens,
        max_trace_tokens=sizes.trace,
        workers=bench.scale.workers,
        graphs=graphs,
    )
    results: list[Encoded] = []

    def run(number: int) -> None:
        results[:] = list(engine.encode(drawn[number % 3 if number >= 0 else -1], reason="always"))

    took = clock.measure(run)
    assert {one.trace_tokens for one in results} == {sizes.trace}
    text, visual = tokens_of(bench.model, drawn[0][:1])[0]
    least = count * reasoning_seconds(
        bench.shape,
        bench.roof(clock),
        text=text,
        visual=visual,
        trace=sizes.trace,
        rows=slots,
        itemsize=bench.itemsize,
        batch=max(1, min(slots, batch_tokens // (text + visual))),
    )
    counters = engine.counters
    return {
        "slots": slots,
        "graphs": graphs,
        "queries": count,
        **took,
        "queries_per_second": count / took["seconds"],
        "roofline_queries_per_second": count / least,
        "roofline_fraction": least / took["seconds"],
        "decode_row_steps_of_needed": counters.decode_row_steps / counters.needed_row_steps,
        "step": _step_alone(bench, clock, slots, text + visual + sizes.trace // 2, graphs),
    }


def _step_alone(bench: Bench, clock: Clock, rows: int, context: int, graphs: bool) -> Figures:
    """One decoding step, nothing around it: seconds and fraction of its own roofline."""
    from trace_retriever.engine.graphs import GraphedStep
    from trace_retriever.engine.language import LanguageStep

    text, network = bench.model.config.get_text_config(), bench.model.network
    plain = LanguageStep(network, 4096 if not bench.tiny else 512)
    shape = (text.num_hidden_layers, 2, rows, text.num_key_value_heads, context + 64)
    size = bench.shape.width // text.num_attention_heads
    cache = torch.zeros((*shape, size), dtype=plain.dtype, device=bench.device)
    fed = torch.tensor([[9] * rows, [context] * rows, [context] * rows], device=bench.device)
    chosen: Any = GraphedStep(plain) if graphs else plain

    @torch.inference_mode()
    def run(_: int) -> None:
        for _ in range(10):
            chosen(fed, cache, context + 1)

    took = clock.measure(run, inner=10)
    least = bench.roof(clock).seconds(step(bench.shape, rows, float(context + 1), itemsize=bench.itemsize))
    return {**took, "context": context, "roofline_fraction": least / took["seconds"]}


def measure_training(bench: Bench, clock: Clock) -> Figures:
    """Training steps: LoRA of rank 128 on the language model, projector in full, CE and InfoNCE."""
    found: list[Figures] = []
    for rows, recompute in bench.scale.rows:
        if not found or clock.left > 0:
            found.append(_train(bench, clock, rows, recompute))
    bench.drop()
    return {"steps": found, "clocks": clocks()}


def _train(bench: Bench, clock: Clock, rows: int, recompute: bool) -> Figures:
    """One setting on a fresh network; running out of memory is a finding, not a failure."""
    from gpu_training import TrainingStep

    bench.drop()
    setting = {"queries": rows, "gradient_checkpointing": recompute}
    cuda = bench.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(bench.device)
    one: TrainingStep | None = None
    try:
        one = TrainingStep(bench.model, bench.scale.sizes, rows, recompute=recompute)
        took = clock.measure(lambda _: one.run())  # type: ignore[union-attr]
    except torch.cuda.OutOfMemoryError:
        return {**setting, "out_of_memory": True}
    flop = training(Shape.of(bench.model.config), **one.useful, lora=True)
    rate = flop / took["seconds"]
    return {
        **setting,
        **took,
        "tokens": one.useful["tokens"],
        "tokens_per_second": one.useful["tokens"] / took["seconds"],
        "flops": rate,
        "mfu_of_measured_product": rate / bench.roof(clock).flops,
        "mfu_of_data_sheet": rate / H200_PEAK if cuda else None,
        "peak_gib": torch.cuda.max_memory_allocated(bench.device) / GIB if cuda else None,
        "optimizer": one.optimizer_name,
    }


def measure_search(bench: Bench, clock: Clock) -> Figures:
    """Exact search over random unit vectors on the host, products on the device."""
    import numpy as np

    from trace_retriever.search.exact import ExactIndex

    dim = bench.model.dim
    rng = np.random.default_rng(0)
    count = bench.scale.vectors
    pool = np.empty((count, dim), np.float16)
    for start in range(0, count, 50_000):
        part = rng.standard_normal((min(50_000, count - start), dim), np.float32)
        pool[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    asked = rng.standard_normal((bench.scale.searches, dim), np.float32)
    index = ExactIndex(pool, device=str(bench.device))
    took = clock.measure(lambda _: index.search(asked, 50))
    flop = 2.0 * count * dim * len(asked)
    return {
        "candidates": count,
        "dim": dim,
        "queries": len(asked),
        "precision": index.precision,
        **took,
        "flops": flop / took["seconds"],
        "bytes_per_second": pool.nbytes / took["seconds"],
        "of_measured_product": flop / took["seconds"] / bench.roof(clock).flops,
        "clocks": clocks(),
    }


SECTIONS: dict[str, tuple[Callable[[Bench, Clock], Figures], str]] = {
    "device": (measure_device, "copy bandwidth and matrix product, the roofline's two numbers"),
    "encode": (measure_encode, "encoding queries and candidates: items/s, fraction of roofline"),
    "reasoning": (measure_reasoning, "traces of 150 tokens at 32 to 384 slots, decode graphs and eager"),
    "training": (measure_training, "LoRA r 128 step: tokens/s, MFU, peak memory"),
    "search": (measure_search, "exact search of 1 M vectors: operations/s"),
}
