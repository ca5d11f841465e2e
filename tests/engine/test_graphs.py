"""Buckets and held memory are the same with any recorder; capturing itself needs a GPU."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.engine.engine import Engine
from trace_retriever.engine.graphs import CudaRecorder, GraphedStep, row_bucket
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


class Recorder:
    """Runs the function again where a graph would be replayed."""

    def __init__(self) -> None:
        self.recorded = 0

    def __call__(self, run: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        run()
        return run


@given(st.integers(1, 1000))
def test_a_bucket_holds_its_rows_and_not_many_more(rows: int) -> None:
    bucket = row_bucket(rows)
    assert rows <= bucket < rows + (8 if rows <= 128 else 16)
    assert row_bucket(bucket) == bucket


def test_a_graphed_engine_encodes_as_a_plain_one(model: TraceModel, items: Sequence[Item]) -> None:
    recorder = Recorder()
    plain, graphed = Engine(model, slots=7, batch_tokens=300), Engine(model, slots=7, batch_tokens=300)
    graphed.scheduler.graph(GraphedStep(graphed.scheduler.language, recorder))
    for one, other in zip(
        plain.encode(items, reason="always"), graphed.encode(items, reason="always"), strict=True
    ):
        assert (one.trace_ids, one.truncated, one.fallback) == (
            other.trace_ids,
            other.truncated,
            other.fallback,
        )
        np.testing.assert_allclose(one.reasoned, other.reasoned, atol=1e-5)
    counters = graphed.counters
    assert 0 < recorder.recorded < counters.decode_steps  # graphs are used again
    assert counters.needed_row_steps == plain.counters.needed_row_steps
    assert counters.needed_row_steps < counters.decode_row_steps  # buckets are counted as computed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_engine_encodes_as_an_eager_one(model: TraceModel, items: Sequence[Item]) -> None:
    model.network.to("cuda")
    try:
        eager, captured = Engine(model, slots=7, graphs=False), Engine(model, slots=7, graphs=True)
        pairs = zip(
            eager.encode(items, reason="always"), captured.encode(items, reason="always"), strict=True
        )
        for one, other in pairs:
            assert one.trace_ids == other.trace_ids
            np.testing.assert_allclose(one.reasoned, other.reasoned, atol=1e-4)
        assert CudaRecorder is not None
    finally:
        model.network.to("cpu")
