"""Decoding steps as captured CUDA graphs: one launch a step instead of hundreds.

A graph has fixed shapes, so rows and positions are rounded up to buckets; a row that only fills a bucket
writes into a slot that nobody uses.

Shape legend: N rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

Step = Callable[[torch.Tensor, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
Replay = Callable[[], object]
ROW_BUCKETS = (1, 2, 4)  # then multiples of 8, beyond 128 of 16
POSITION_BUCKET = 128


@dataclass(frozen=True)
class _Captured:
    fed: torch.Tensor
    outputs: tuple[torch.Tensor, ...]
    replay: Replay


class GraphedStep:
    """A step that is captured once for each pair of buckets, and replayed from then on.

    Args:
        step: what is captured; see `LanguageStep`.
        record: runs a function once so that what it returns can be run again and again on the same memory;
            by default as a CUDA graph.
    """

    def __init__(self, step: Step, record: Callable[[Callable[[], None]], Replay] | None = None) -> None:
        self._step = step
        self._record = record or CudaRecorder()
        self._captured: dict[tuple[int, int], _Captured] = {}
        self._cache: torch.Tensor | None = None

    def rows(self, needed: int, size: int) -> int:
        """How many rows a step over `needed` rows computes, of `size` at most."""
        return min(row_bucket(needed), size)

    def __call__(
        self, fed_3N: torch.Tensor, cache: torch.Tensor, longest: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `LanguageStep`; the tensors that come back hold until the next call."""
        if cache is not self._cache:  # graphs know the old one's addresses
            self._captured.clear()
            self._cache = cache
        count = fed_3N.shape[1]
        rows = self.rows(count, cache.shape[2])
        positions = min(-(-longest // POSITION_BUCKET) * POSITION_BUCKET, cache.shape[4])
        captured = self._captured.get((rows, positions)) or self._capture(fed_3N, cache, rows, positions)
        captured.fed.zero_()
        captured.fed[:, :count] = fed_3N
        captured.replay()
        states_NH, tokens_N, logprobs_N = (output[:count] for output in captured.outputs)
        return states_NH, tokens_N, logprobs_N

    def _capture(self, fed_3N: torch.Tensor, cache: torch.Tensor, rows: int, positions: int) -> _Captured:
        held = torch.zeros(3, rows, dtype=fed_3N.dtype, device=fed_3N.device)
        held[:, : fed_3N.shape[1]] = fed_3N
        outputs = tuple(output.clone() for output in self._step(held, cache, positions))

        def run() -> None:
            for output, new in zip(outputs, self._step(held, cache, positions), strict=True):
                output.copy_(new)

        captured = _Captured(held, outputs, self._record(run))
        self._captured[rows, positions] = captured
        return captured


class CudaRecorder:
    """Records functions as CUDA graphs that share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[[], None]) -> Replay:
        """Warm up on a stream of its own, as capturing asks for, then capture."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            run()
        return graph.replay


def row_bucket(rows: int) -> int:
    """The least bucket that holds so many rows: at most an eighth more beyond 8 rows, and 15 beyond 128."""
    for bucket in ROW_BUCKETS:
        if rows <= bucket:
            return bucket
    unit = 8 if rows <= 128 else 16
    return -(-rows // unit) * unit
