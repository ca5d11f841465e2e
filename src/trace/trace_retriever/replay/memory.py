"""Bytes on each GPU: what ZeRO splits (arXiv 1910.02054), and the engine's cache.

Mixed precision: weights and gradients in bfloat16; of what trains, a float32 master copy and AdamW's two
moments, 12 bytes a number. Stage 1 splits those, 2 the gradients too, 3 the weights too, frozen ones
included. While a stage-3 layer is used its weights are gathered whole, which is left out here, as are
DeepSpeed's buckets.
"""

from dataclasses import dataclass

from trace_retriever.replay.flops import Shape
from trace_retriever.replay.network import Counts

WEIGHT, GRADIENT, STATE = 2, 2, 12


@dataclass(frozen=True)
class State:
    """Bytes of a GPU.

    Attributes:
        weights, gradients, optimizer: what each takes.
    """

    weights: float
    gradients: float
    optimizer: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.weights + self.gradients + self.optimizer


def state(counts: Counts, gpus: int, stage: int) -> State:
    """Weights, gradients and optimizer states of each GPU under a ZeRO stage, 0 to 3."""

    def split(size: float, from_stage: int) -> float:
        return size / gpus if stage >= from_stage else size

    return State(
        weights=split(WEIGHT * counts.total, 3),
        gradients=split(GRADIENT * counts.trainable, 2),
        optimizer=split(STATE * counts.trainable, 1),
    )


def cache_token(shape: Shape, itemsize: int = 2) -> int:
    """Bytes of keys and values of one position of one slot of the engine."""
    return 2 * shape.layers * shape.kv_width * itemsize
