"""Run by torchrun: a network with dropout, fitted in one go and with interruptions, under ZeRO stages."""

import json
from pathlib import Path

import torch
from torch import nn

from trace_retriever.training.checkpoint import seed_everything
from trace_retriever.training.distributed import Group, join
from trace_retriever.training.loop import Fitted, Rhythm, fit
from trace_retriever.training.process import run_worker
from trace_retriever.training.zero import Optimisation


class InterruptedFitError(Exception):
    """Stands for a fault in the middle of training."""


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.GELU(), nn.Linear(16, 1))

    def forward(
        self, batch: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (self.layers(self.frozen(batch[0])) - batch[1]).pow(2).mean()
        return loss, {"loss": loss}


def run(work: Path, group: Group, zero_stage: int, break_at: int | None) -> Fitted:
    def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
        if step == break_at:
            raise InterruptedFitError
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(step * 10 + group.rank))
        return inputs, inputs.sum(1, keepdim=True)

    seed_everything(5)
    return fit(
        Line(),
        batches,
        Optimisation(steps=20, batch=16, lr=1e-2, warmup=5, zero_stage=zero_stage),
        Rhythm(checkpoint=4, validate=6, log=3),
        group,
        work,
        evaluate=lambda _: {
            "score": float(torch.rand(1)) * 0 + 1.0
        },  # consumes randomness; the first one is kept
        curves=work / "curves",
    )


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    group, root = join(), Path(job["root"])
    for zero_stage in job["stages"]:
        for name, breaks in (("whole", [None]), ("broken", [15, 19, None])):
            work = root / f"{name}-{zero_stage}"
            work.mkdir(exist_ok=True)
            for break_at in breaks:
                try:
                    fitted = run(work, group, zero_stage, break_at)
                except InterruptedFitError:
                    continue
            if group.leads:
                (work / "fitted.json").write_text(json.dumps([fitted.step, fitted.score, fitted.history]))


if __name__ == "__main__":
    run_worker(main)
