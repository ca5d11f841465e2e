"""What each training process does: read the data, fit, and, as the first one, leave the model and metrics."""

import io
from contextlib import nullcontext, redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from pydantic import BaseModel
from safetensors.torch import load_file

from trace_retriever.config.train import TrainConfig
from trace_retriever.io.files import write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.training.adapt import adapt, merge, trainable_share
from trace_retriever.training.batches import StepBatch, step_batch
from trace_retriever.training.checkpoint import seed_everything
from trace_retriever.training.data import (
    Corpus,
    CorpusReader,
    make_sample,
    read_candidate_traces,
    read_routes,
    read_traces,
)
from trace_retriever.training.distributed import Group, join
from trace_retriever.training.grad_cache import CachedObjective, cached_step
from trace_retriever.training.loop import Fitted, Rhythm, fit, plain_step
from trace_retriever.training.objective import TraceObjective
from trace_retriever.training.process import held, run_worker
from trace_retriever.training.sampling import Sampler
from trace_retriever.training.validate import read_probes, validate
from trace_retriever.training.zero import Optimisation, trainable_weights

RESULT = "result.json"
LAST_POINTS = 10


class Job(BaseModel):
    """What to train, from what, and where to: `job.json`."""

    config: TrainConfig
    dataset: Path
    routes: Path
    kept: Path
    backbone: Path
    out: Path
    curves: Path
    work: Path


def main(path: Path) -> None:
    """Train as one process of the group; the first fills the job's `out` and writes `work/result.json`."""
    job = Job.model_validate_json(path.read_bytes())
    group = join()
    with held(job.work) if group.leads else nullcontext():  # a killed run's process may not be gone yet
        fitted, metrics = train(job, group)
        if group.leads:
            export(job, fitted)
            write_json(job.work / RESULT, metrics)
        dist.barrier()  # nobody reads the result before it is there


def train(job: Job, group: Group) -> tuple[Fitted, dict[str, Any]]:
    """Fit the job's model; returns where the chosen weights lie, and the metrics."""
    config = job.config
    seed_everything(config.seed)
    layout = Layout(job.dataset)
    model, objective = prepare(job, group)
    corpus = read_corpus(job, model, layout)
    sampler = make_sampler(corpus, config)
    fitted = fit(
        objective,
        partial(make_batch, model, corpus, sampler, config, group),
        optimisation(config),
        Rhythm(checkpoint=config.checkpoint_every, validate=config.validation.every, log=config.log_every),
        group,
        job.work,
        step=cached_step if config.grad_cache_chunk else plain_step,
        evaluate=Evaluation(job, model, layout, group) if config.validation.every else None,
        curves=job.curves,
        what=f"training {config.variant}",
    )
    return fitted, metrics(fitted, corpus, sampler, config, trainable_share(objective))


def read_corpus(job: Job, model: TraceModel, layout: Layout) -> Corpus:
    """The job's queries, traces and candidates."""
    config = job.config
    return CorpusReader(
        model,
        layout,
        read_routes(job.routes, "train"),
        read_traces(job.kept),
        part=config.trace_part,
        share=config.sampling.share,
        written=read_candidate_traces(job.kept, config.candidates),
    ).read()


def prepare(job: Job, group: Group) -> tuple[TraceModel, TraceObjective]:
    """The backbone on this process's device, what trains marked, and the objective around its network."""
    config = job.config
    dtype = torch.bfloat16 if config.bf16 else torch.float32
    model = load_model(job.backbone, device=group.device, dtype=dtype)
    adapt(model.network, config.adapt, emb_id=chosen_id(model, config))
    if config.gradient_checkpointing:
        recompute_activations(model.network)
    kind = CachedObjective if config.grad_cache_chunk else TraceObjective
    mark_id = model.mark_id if config.position == "structure" else None
    objective = kind(
        model.network,
        config.loss,
        generates=config.variant == "trace",
        position=config.position,
        mark_id=mark_id,
    )
    return model, objective


def chosen_id(model: TraceModel, config: TrainConfig) -> int | None:
    """`<|emb|>` if the model is to choose it; an encoder never predicts a token."""
    return model.emb_id if config.variant == "trace" and config.loss.lambda_gen else None


def recompute_activations(network: Any) -> None:
    """Keep no activations of the layers; under LoRA the frozen embeddings must then hand on a gradient.

    Those of tokens alone: asked of the whole network, the frozen vision tower's inputs would hand one on too,
    and the tower be kept in memory and passed backward for nothing.
    """
    whole = all(weight.requires_grad for weight in network.parameters())
    part = network if whole else network.get_submodule("model.language_model")
    older = part.gradient_checkpointing_enable  # its name before transformers 5.20
    getattr(part, "activation_checkpointing_enable", older)({"use_reentrant": False})
    part.enable_input_require_grads()


def optimisation(config: TrainConfig) -> Optimisation:
    """The params that concern the updates."""
    names = ("steps", "batch", "lr", "warmup", "weight_decay", "betas", "clip", "zero_stage", "bf16")
    return Optimisation(**{name: getattr(config, name) for name in names})


def make_sampler(corpus: Corpus, config: TrainConfig) -> Sampler:
    """The params' sampler over a corpus."""
    params = config.sampling
    return Sampler(
        corpus.strata(),
        batch=config.batch,
        steps=config.steps,
        group=params.group,
        alpha=params.alpha,
        complex_share=params.complex_share,
        seed=config.seed,
    )


def make_batch(
    model: TraceModel, corpus: Corpus, sampler: Sampler, config: TrainConfig, group: Group, step: int
) -> StepBatch:
    """This process's rows of update number `step` (from 0)."""
    generates = config.variant == "trace"
    draws = sampler.share(step, group.rank, group.world)
    samples = [
        make_sample(corpus, draw, config.sampling, reasons=generates, as_text=config.trace_as_text)
        for draw in draws
    ]
    rows = config.batch // group.world * (2 + config.sampling.hard_negatives)
    chunk = config.grad_cache_chunk
    return step_batch(
        model,
        corpus,
        samples,
        parts=-(-rows // chunk) if chunk else min(config.buckets, len(samples)),
        by_length=not chunk,
        generates=generates,
        direct=step >= config.loss.direct_start * config.steps,
        closed=config.position == "emb",
    )


class Evaluation:
    """Scores an engine's weights on generated traces.

    Under ZeRO 3 the engine's own network is split over processes that decode for different lengths of time;
    there, a second, whole network takes over the trained weights.
    """

    def __init__(self, job: Job, model: TraceModel, layout: Layout, group: Group) -> None:
        self.job, self.group = job, group
        self.probes = read_probes(layout, job.config.validation, job.config.seed)
        self.routes = read_routes(job.routes, "val")
        self.model = prepare(job, group)[0] if job.config.zero_stage == 3 else model

    def __call__(self, engine: Any) -> dict[str, float]:
        """The figures of `validate`."""
        config = self.job.config
        if config.zero_stage == 3:
            put(self.model, trainable_weights(engine))
        # one progress bar is enough
        with nullcontext() if self.group.leads else redirect_stderr(io.StringIO()):
            return validate(
                self.model, self.probes, self.routes, config.validation, self.group, config.variant
            )


def put(model: TraceModel, weights: dict[str, torch.Tensor]) -> None:
    """Give a model's network the trained weights of an objective (`network.…`), others keep their value."""
    mine = {
        name.removeprefix("network."): value for name, value in weights.items() if name.startswith("network.")
    }
    unexpected = model.network.load_state_dict(mine, strict=False).unexpected_keys
    if unexpected:
        raise KeyError(f"weights that the network lacks: {unexpected[:3]}")


def export(job: Job, fitted: Fitted) -> None:
    """Write the model with the chosen weights, adapters merged, to the job's `out`."""
    model = load_model(job.backbone, dtype=torch.bfloat16 if job.config.bf16 else torch.float32)
    adapt(model.network, job.config.adapt, emb_id=chosen_id(model, job.config))
    put(model, load_file(fitted.weights))
    merge(model.network)
    config = job.config
    about = {"kind": config.variant, "position": config.position, "candidates": config.candidates}
    model.settings = model.settings.model_copy(update=about)
    model.save(job.out)


def metrics(
    fitted: Fitted, corpus: Corpus, sampler: Sampler, config: TrainConfig, numbers: tuple[int, int]
) -> dict[str, Any]:
    """What training came to, deterministic."""
    points = [point for point in fitted.history if "loss" in point][-LAST_POINTS:]
    best = [p for p in fitted.history if p["step"] == fitted.step and "val_score" in p]
    losses = {
        name: sum(p[name] for p in points) / len(points) for name in points[0] if name not in ("step", "lr")
    }
    return {
        "variant": config.variant,
        "final": losses,
        "best_step": fitted.step,
        "validation": {name: value for name, value in best[0].items() if name != "step"} if best else {},
        "samples_seen": config.steps * config.batch,
        "examples": len(corpus.examples),
        "dropped": corpus.dropped,
        "strata": {stratum.name: len(stratum.members) for stratum in sampler.strata},
        "trainable": numbers[0],
        "weights": numbers[1],
    }


if __name__ == "__main__":
    run_worker(main)
