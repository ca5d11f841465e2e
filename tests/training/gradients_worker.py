"""Run by torchrun: gradients and losses of a few updates, under ZeRO stages and gradient caching."""

import json
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file

from trace_retriever.config.train import LossParams, SamplingParams, TrainConfig, TrainValidation
from trace_retriever.mbeir.layout import Layout
from trace_retriever.training import worker
from trace_retriever.training.checkpoint import seed_everything
from trace_retriever.training.data import CorpusReader, read_routes, read_traces
from trace_retriever.training.distributed import Group, join
from trace_retriever.training.grad_cache import cached_step
from trace_retriever.training.loop import plain_step
from trace_retriever.training.process import run_worker
from trace_retriever.training.zero import start_engine

STEPS = 3


class Watched:
    """An engine that notes the gradients of its first update."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.gradients: dict[str, torch.Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def __call__(self, batch: Any) -> Any:
        return self.engine(batch)

    def step(self) -> None:
        from deepspeed.utils import safe_get_full_grad

        if not self.gradients:
            for name, weight in self.engine.module.named_parameters():
                self.gradients[name] = safe_get_full_grad(weight).float().clone().contiguous()
        self.engine.step()


def config(zero_stage: int, chunk: int) -> TrainConfig:
    return TrainConfig(
        steps=STEPS,
        batch=12,
        warmup=0,
        lr=1e-3,
        clip=1e9,
        zero_stage=zero_stage,
        grad_cache_chunk=chunk,
        processes=1,
        loss=LossParams(direct_weight=0.5, learn_temperature=True, lambda_gen=0.7),
        sampling=SamplingParams(hard_negatives=1, group=2),
        validation=TrainValidation(every=0),
    )


def run_case(
    root: Path, group: Group, zero_stage: int, chunk: int
) -> tuple[list[float], dict[str, torch.Tensor]]:
    case = config(zero_stage, chunk)
    paths = {name: root / name for name in ("dataset", "routes", "kept", "backbone", "out", "curves", "work")}
    job = worker.Job(config=case, **paths)
    seed_everything(1)
    model, objective = worker.prepare(job, group)
    layout = Layout(job.dataset)
    corpus = CorpusReader(model, layout, read_routes(job.routes, "train"), read_traces(job.kept)).read()
    sampler = worker.make_sampler(corpus, case)
    engine = Watched(start_engine(objective, worker.optimisation(case)))
    losses = []
    for step in range(STEPS):
        batch = worker.make_batch(model, corpus, sampler, case, group, step)
        figures = (cached_step if chunk else plain_step)(engine, batch)
        loss = figures["loss"].detach().clone()
        dist.all_reduce(loss)
        losses.append(float(loss) / group.world)
    return losses, engine.gradients


def main(path: Path) -> None:
    job = json.loads(path.read_text())
    group, out = join(), Path(job["out"])
    losses = {}
    for zero_stage, chunk in job["cases"]:
        name = f"zero{zero_stage}-chunk{chunk}"
        losses[name], gradients = run_case(Path(job["root"]), group, zero_stage, chunk)
        if group.leads:
            save_file(gradients, out / f"{name}.safetensors")
    if group.leads:
        (out / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    run_worker(main)
