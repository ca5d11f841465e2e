"""Gradient caching (GradCache, arXiv 2101.06983): large contrastive batches in the memory of one chunk.

1. All chunks are read without a graph, for their vectors alone.
2. The contrastive loss of these vectors gives the gradient with respect to each of them.
3. Each chunk is read again with a graph; <vectors, their cached gradients> plus the chunk's CE is
   differentiated. The sum over chunks is the gradient of the whole loss.

Right under ZeRO 0 to 2, where the gradient-accumulation boundary is set by hand: gradients are reduced and
applied after the last chunk only. Stage 3 is refused (see `check`). Nothing here may be random in a forward
pass (no dropout), since a chunk is read twice.
"""

from dataclasses import dataclass
from typing import Any

import torch

from trace_retriever.errors import ConfigError
from trace_retriever.training.batches import Chunk, StepBatch
from trace_retriever.training.objective import Figures, Peers, TraceObjective, assemble


@dataclass(frozen=True)
class CachedChunk:
    """A chunk with the gradients of the contrastive loss at its rows' vectors, [B', H] each."""

    chunk: Chunk
    last: torch.Tensor
    prompt: torch.Tensor
    peers: Peers


class CachedObjective(TraceObjective):
    """A `TraceObjective` whose forward also takes a `CachedChunk`, and then returns its surrogate loss."""

    def forward(self, step: StepBatch | CachedChunk) -> Any:
        """See `TraceObjective.forward`; for a chunk, (surrogate, CE): scalars to differentiate and to log."""
        if isinstance(step, StepBatch):
            return super().forward(step)
        read = self.read(step.chunk)
        ce = self.generation(read.ce, step.peers)
        surrogate = (read.last * step.last).sum() + (read.prompt * step.prompt).sum() + self.lambda_gen * ce
        return surrogate, ce


def check(zero_stage: int) -> None:
    """Refuse a ZeRO stage under which caching would be wrong.

    Raises:
        ConfigError: stage 3.
    """
    if zero_stage == 3:
        raise ConfigError(
            "gradient caching works under ZeRO 0 to 2: stage 3 frees the gathered weights between the two "
            "passes and reduces gradients chunk by chunk",
            where="train.grad_cache_chunk",
            remedy="set train.zero_stage to 2, or train.grad_cache_chunk to 0",
        )


def cached_step(engine: Any, batch: StepBatch) -> Figures:
    """One update of an engine around a `CachedObjective`, by gradient caching; a `loop.TrainStep`."""
    check(engine.zero_optimization_stage())
    objective: CachedObjective = engine.module
    peers = Peers.meet(batch)
    gradients, figures = _cache(objective, batch, peers)
    ces = []
    for number, chunk in enumerate(batch.chunks):
        last_RH, prompt_RH = (gradient[chunk.places] for gradient in gradients[:2])
        surrogate, ce = engine(CachedChunk(chunk, last_RH, prompt_RH, peers))
        if objective.log_scale is not None and number == 0:
            surrogate = surrogate + objective.log_scale * gradients[2]
        engine.set_gradient_accumulation_boundary(number == len(batch.chunks) - 1)
        engine.backward(surrogate)
        ces.append(ce.detach())
    engine.step()
    ce = torch.stack(ces).sum()
    return {"loss": figures["contrast"] + objective.lambda_gen * ce, "ce": ce} | {
        name: value for name, value in figures.items() if name != "contrast"
    }


def _cache(objective: CachedObjective, batch: StepBatch, peers: Peers) -> tuple[list[torch.Tensor], Figures]:
    """Gradients of the contrastive loss at all vectors [R, H] (last, prompt) and a learned temperature."""
    with torch.no_grad():
        last, prompt = assemble(batch, [objective.read(chunk, labels=False) for chunk in batch.chunks])
    leaves = [last.requires_grad_(), prompt.requires_grad_()]
    if objective.log_scale is not None:
        leaves.append(objective.log_scale)
    loss, figures = objective.contrast(batch, peers, last, prompt)
    found = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return list(found), {
        "contrast": loss.detach(),
        **{name: value.detach() for name, value in figures.items()},
    }
