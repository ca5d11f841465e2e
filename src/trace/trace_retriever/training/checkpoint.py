"""Training state on disk: whole or absent, the last two kept, all that a bit-equal resume needs."""

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from pydantic import BaseModel, ConfigDict

from trace_retriever.errors import ConfigError
from trace_retriever.io.files import read_json, write_atomic, write_json
from trace_retriever.training.distributed import Group

KEPT = 2
LATEST = "latest"
STATE = "progress.json"
PARTIAL = ".partial"


class Progress(BaseModel):
    """How far training is, beside the weights.

    Attributes:
        step: updates done.
        world: processes; ZeRO splits the state over them.
        history: the logged figures, one mapping a logged step.
        best_step, best_score: the best validation so far.
    """

    model_config = ConfigDict(extra="forbid")

    step: int = 0
    world: int = 1
    history: list[dict[str, float]] = []
    best_step: int | None = None
    best_score: float | None = None


def save(engine: Any, progress: Progress, folder: Path, group: Group) -> None:
    """Write a checkpoint; until its name stands in `latest` it does not count.

    Every process must call this. Model, optimizer and schedule go through DeepSpeed (frozen weights left
    out), the random states of each process and `progress` lie beside them.
    """
    tag = f"step-{progress.step:08d}"
    if group.leads:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        (folder / PARTIAL).mkdir(parents=True)
    dist.barrier()
    engine.save_checkpoint(str(folder), tag=PARTIAL, save_latest=False, exclude_frozen_parameters=True)
    torch.save(random_states(), folder / PARTIAL / f"random-{group.rank}.pt")
    dist.barrier()
    if group.leads:
        write_json(folder / PARTIAL / STATE, progress.model_dump())
        shutil.rmtree(folder / tag, ignore_errors=True)
        (folder / PARTIAL).rename(folder / tag)
        write_atomic(folder / LATEST, tag)
        for old in sorted(folder.glob("step-*"))[:-KEPT]:
            shutil.rmtree(old)
    dist.barrier()


def load(engine: Any, folder: Path, group: Group) -> Progress:
    """Put the latest checkpoint's state into the engine and the random generators.

    Returns:
        Its progress; that of step 0 when there is no checkpoint yet.

    Raises:
        ConfigError: it was written by another number of processes.
    """
    if not (folder / LATEST).is_file():
        return Progress(world=group.world)
    tag = (folder / LATEST).read_text(encoding="utf-8")
    progress = Progress.model_validate(read_json(folder / tag / STATE))
    if progress.world != group.world:
        raise ConfigError(
            f"the checkpoint is of {progress.world} processes, this run has {group.world}",
            where=folder / tag,
            remedy="run with as many processes, or remove the checkpoints to start again",
        )
    engine.load_checkpoint(str(folder), tag=tag, load_module_strict=False)
    restore_random_states(torch.load(folder / tag / f"random-{group.rank}.pt", weights_only=True))
    return progress


def random_states() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators, as tensors and plain numbers."""
    state: Any = np.random.get_state(legacy=True)
    name, keys, *rest = state
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo: see `random_states`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def seed_everything(seed: int) -> None:
    """Start Python's, numpy's and torch's generators from one seed."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
