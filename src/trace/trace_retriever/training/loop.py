"""The training loop: DeepSpeed steps, curves, validation, checkpoints, and a bit-equal resume."""

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn
from tqdm import tqdm

from trace_retriever.errors import TraceError
from trace_retriever.io.progress import bar
from trace_retriever.training import checkpoint
from trace_retriever.training.checkpoint import Progress
from trace_retriever.training.curves import Curves
from trace_retriever.training.distributed import Group, summed
from trace_retriever.training.zero import Optimisation, start_engine, trainable_weights

Figures = Mapping[str, torch.Tensor]
BEST = "best.safetensors"


class TrainStep(Protocol):
    """One update: forward, backward and optimizer step of an engine on one batch."""

    def __call__(self, engine: Any, batch: Any) -> Figures:
        """Update; returns the figures to log: this process's shares, whose means over processes they are."""


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often, in updates, things happen beside training; all happen after the last update too.

    Attributes:
        checkpoint: saving the state.
        validate: scoring and, where better, keeping the weights; 0 keeps the last weights.
        log: adding a point to the curves.
    """

    checkpoint: int = 100
    validate: int = 0
    log: int = 10


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What training leaves.

    Attributes:
        weights: safetensors of the trainable weights, named as in the module: the best ones, or the last
            ones without validation.
        step: after which update they were taken.
        score: their validation score.
        history: the logged figures, one mapping a logged step.
    """

    weights: Path
    step: int
    score: float | None
    history: list[dict[str, float]] = field(default_factory=list)


def plain_step(engine: Any, batch: Any) -> Figures:
    """Forward, backward, update. The module returns (loss, figures)."""
    loss, figures = engine(batch)
    engine.backward(loss)
    engine.step()
    return dict(figures)


def fit(
    module: nn.Module,
    batches: Callable[[int], Any],
    optimisation: Optimisation,
    rhythm: Rhythm,
    group: Group,
    work: Path,
    *,
    step: TrainStep = plain_step,
    evaluate: Callable[[Any], Mapping[str, float]] | None = None,
    curves: Path | None = None,
    what: str = "training",
) -> Fitted:
    """Train a module whose forward is a step's loss; continues from the latest checkpoint in `work`.

    Every process of the group calls this with the same arguments. The same arguments give the same weights
    bit for bit, however often the run was killed in between.

    Args:
        module: `module(batch) -> (loss, figures)`; the loss is this process's share of the global one times
            the number of processes (DeepSpeed takes the mean of gradients); its parameters with
            `requires_grad` are trained.
        batches: update number (from 0) → this process's batch; a pure function, called ahead in a thread.
        optimisation: how weights are updated.
        rhythm: how often to validate, save and log.
        group: from `distributed.join()`.
        work: the directory that survives a kill.
        step: one update, if not the plain one (gradient caching).
        evaluate: engine → figures, equal in all processes; the weights with the highest `score` are kept.
        curves: directory for the curves; None for none.
        what: the name shown on the progress bar.

    Raises:
        TraceError: the loss is no longer a number.
    """
    module.to(group.device)
    engine = start_engine(module, optimisation)
    progress = checkpoint.load(engine, work / "checkpoints", group)
    run = _Run(engine, progress, optimisation.steps, rhythm, group, work)
    directory = curves if group.leads else None
    with Curves(directory, progress.history) as log, _shown(what, run) as shown:
        for figures in _updates(step, engine, batches, progress.step, optimisation.steps):
            progress.step += 1
            shown.update(1)
            if run.due(rhythm.log):
                point = run.point(figures)
                log.log(point)
                shown.set_postfix({name: f"{point[name]:.3f}" for name in figures}, refresh=False)
            if evaluate is not None and run.due(rhythm.validate):
                log.log(run.validate(evaluate))
            if run.due(rhythm.checkpoint):
                checkpoint.save(engine, progress, work / "checkpoints", group)
    return run.fitted()


@dataclass
class _Run:
    """A training run in progress: what is due, what was best."""

    engine: Any
    progress: Progress
    steps: int
    rhythm: Rhythm
    group: Group
    work: Path

    def due(self, every: int) -> bool:
        """Whether something that happens every so many updates (0: never) is due after this one."""
        return every > 0 and (self.progress.step % every == 0 or self.progress.step == self.steps)

    def point(self, figures: Figures) -> dict[str, float]:
        """The figures' means over processes, remembered; refuses to go on from a loss that is no number."""
        values = summed(torch.stack([figures[name].detach().float() for name in figures])) / self.group.world
        point = dict(zip(figures, values.tolist(), strict=True))
        if not all(map(math.isfinite, point.values())):
            raise TraceError(
                f"the loss is not a number after update {self.progress.step}: {point}",
                where=self.work,
                remedy="lower train.lr, or raise train.warmup",
            )
        point |= {"step": self.progress.step, "lr": self.engine.get_lr()[0]}
        self.progress.history.append(point)
        return point

    def validate(self, evaluate: Callable[[Any], Mapping[str, float]]) -> dict[str, float]:
        """Score the weights and keep them if they are the best so far; returns the figures, remembered."""
        self.engine.module.eval()
        with torch.no_grad():
            figures = evaluate(self.engine)
        point = {"step": float(self.progress.step), **{f"val_{name}": figures[name] for name in figures}}
        self.progress.history.append(point)
        if self.progress.best_score is None or figures["score"] > self.progress.best_score:
            self.progress.best_step, self.progress.best_score = self.progress.step, figures["score"]
            self._write_weights()
        return point

    def fitted(self) -> Fitted:
        """The run's result, once all updates are done."""
        if self.progress.best_step is None:
            self._write_weights()
        history = self.progress.history
        step = self.progress.step if self.progress.best_step is None else self.progress.best_step
        return Fitted(weights=self.work / BEST, step=step, score=self.progress.best_score, history=history)

    def _write_weights(self) -> None:
        from safetensors.torch import save_file

        weights = trainable_weights(self.engine)
        if self.group.leads:
            partial = self.work / f"{BEST}.partial"
            save_file(weights, partial)
            partial.replace(self.work / BEST)
        dist.barrier()


def _shown(what: str, run: _Run) -> Any:
    shown = bar(what, total=run.steps, unit="step") if run.group.leads else tqdm(disable=True)
    shown.update(run.progress.step)
    return shown


def _updates(
    step: TrainStep, engine: Any, batches: Callable[[int], Any], start: int, end: int
) -> Iterator[Figures]:
    """Do updates `start` to `end`; each one's batch is made in a thread while the one before is trained on.

    The thread is idle whenever this yields: validation reads pictures too, through caches that are not for
    two.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = [thread.submit(batches, start)] if start < end else []
        for number in range(start, end):
            batch = coming.pop().result()
            if number + 1 < end:
                coming.append(thread.submit(batches, number + 1))
            engine.module.train()
            figures = step(engine, batch)
            wait(coming)
            yield figures
