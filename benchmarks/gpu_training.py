"""One training step of the project's objective on made rows: queries with traces, and their candidates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from shapes import WORDS, Sizes, candidates, queries

from trace_retriever.config.train import AdaptParams, LossParams
from trace_retriever.model.batch import Row, collate
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.tiny import SPECIAL
from trace_retriever.training.adapt import adapt
from trace_retriever.training.batches import NONE, Chunk, StepBatch
from trace_retriever.training.objective import TraceObjective
from trace_retriever.training.zero import parameter_groups


class TrainingStep:
    """LoRA on a model, and a batch to train it on again and again.

    Queries and candidates are a chunk each, so that nothing is padded. AdamW runs in the weights' own type:
    the optimizer is a small part of a LoRA step, and the measurement needs no DeepSpeed on the machine.

    Args:
        model: changed: adapters are added.
        sizes: of queries, candidates and traces.
        count: queries, and as many candidates.
        recompute: whether activations are recomputed in the backward pass.

    Attributes:
        useful: what `roofline.training` wants to know of the batch.
    """

    optimizer_name = "AdamW, in the weights' type"

    def __init__(self, model: TraceModel, sizes: Sizes, count: int, *, recompute: bool) -> None:
        adapt(model.network, AdaptParams(tuning="lora"))
        if recompute:
            from trace_retriever.training.worker import recompute_activations

            recompute_activations(model.network)
        model.network.train()
        self.objective = TraceObjective(model.network, LossParams(), generates=True)
        self.batch = made_batch(model, sizes, count)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.objective, 0.05), lr=1e-5)
        self.useful = _useful(model, self.batch)

    def run(self) -> None:
        """Forward, backward, update."""
        loss, _ = self.objective(self.batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in self.objective.parameters() if p.requires_grad], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def made_batch(model: TraceModel, sizes: Sizes, count: int) -> StepBatch:
    """Complex queries, each with a trace and a candidate of picture and words."""
    rng = np.random.default_rng(0)
    spec, first = model.pictures.spec, len(SPECIAL)
    traces = rng.integers(first, first + WORDS, (count, sizes.trace)).tolist()
    asked = [
        Row(item, tuple(trace))
        for item, trace in zip(queries(sizes, count, spec), traces, strict=True)
    ]  # fmt: skip
    found = [Row(item) for item in candidates(sizes, "both", count, spec)]
    device = model.device
    return StepBatch(
        chunks=[_chunk(model, asked, 0, labelled=True), _chunk(model, found, count, labelled=False)],
        is_complex=torch.ones(count, dtype=torch.bool, device=device),
        positives=torch.full((count, 1), NONE, device=device),
        candidate_ids=torch.arange(count, device=device),
        direct=True,
    )


def _chunk(model: TraceModel, rows: Sequence[Row], start: int, *, labelled: bool) -> Chunk:
    batch = collate(model, rows)
    at: list[tuple[int, int, int]] = []
    if labelled:
        for number, row in enumerate(rows):
            before = int(batch["prompt_lengths"][number]) - 1
            at += [(number, before + i, token) for i, token in enumerate((*row.trace_ids, model.emb_id))]
    labels = torch.tensor(at, dtype=torch.long, device=model.device).reshape(-1, 3)
    places = torch.arange(start, start + len(rows), device=model.device)
    return Chunk(batch, places, labels[:, 0], labels[:, 1], labels[:, 2])


def _useful(model: TraceModel, step: StepBatch) -> dict[str, Any]:
    lengths = torch.cat([chunk.batch["lengths"] for chunk in step.chunks]).tolist()
    visual = sum(int((chunk.batch["input_ids"] == model.image_id).sum()) for chunk in step.chunks)
    return {
        "tokens": sum(lengths),
        "visual": visual,
        "labels": step.labels,
        "pairs": float(sum(length * (length + 1) / 2 for length in lengths)),
    }
