"""The group of training processes: joining it, and the few collectives that the losses need.

Shape legend: N rows of this process, M rows of all processes, D features.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from trace_retriever.errors import ConfigError


@dataclass(frozen=True)
class Group:
    """This process's place: its rank among `world` processes, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0


def join() -> Group:
    """Join the group that the launcher's environment names; without one, be a group of one.

    NCCL where there are GPUs (one process each), else gloo.

    Raises:
        ConfigError: more processes on this machine than GPUs.
    """
    device = _device()
    os.environ.setdefault("DS_ACCELERATOR", device.type)  # else DeepSpeed warns while it guesses
    os.environ.setdefault("LOCAL_RANK", "0")  # DeepSpeed insists
    import deepspeed

    _use_gloo_alone(deepspeed)
    if not dist.is_initialized() and "RANK" not in os.environ:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(_backend(device), store=store, rank=0, world_size=1)
    deepspeed.init_distributed(dist_backend=_backend(device), verbose=False)
    return Group(dist.get_rank(), dist.get_world_size(), device)


def _use_gloo_alone(deepspeed: Any) -> None:
    """Do without DeepSpeed's shared-memory all-reduce, whose C++ is compiled (a minute, g++) on first use.

    Only tensor-parallel inference uses it; training's collectives go through gloo either way.
    """
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise ConfigError(
            f"process {local} has no GPU: this machine has {torch.cuda.device_count()}",
            where="train.processes",
            remedy="set processes to the number of GPUs at most",
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def _backend(device: torch.device) -> str:
    return "nccl" if device.type == "cuda" else "gloo"


def world_size() -> int:
    """How many processes there are; 1 outside a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def summed(values: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over all processes (no gradient)."""
    total = values.detach().clone()
    if world_size() > 1:
        dist.all_reduce(total)
    return total


def gather_objects(value: Any) -> list[Any]:
    """One small picklable value of each process, by rank."""
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, value)
    return found


def gather_rows(rows_ND: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    """The rows of all processes [M, D], by rank, with a gradient to every one of them.

    The gradient that reaches a row is the sum of what all processes' losses ask of it. With losses that are
    each process's share of one global loss, times the number of processes, the mean of the processes'
    parameter gradients is then the global loss's gradient, as one process would compute it. (Putting back
    only the own slot, as is common, loses a factor of the number of processes on the candidates' side.)

    Args:
        rows_ND: this process's rows.
        counts: how many rows each process has.
    """
    if world_size() == 1:
        return rows_ND
    gathered: torch.Tensor = _GatherRows.apply(rows_ND, counts)  # type: ignore[no-untyped-call]
    return gathered


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_ND: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
        ctx.counts = counts
        padded = rows_ND.new_zeros(max(counts), rows_ND.shape[1])
        padded[: len(rows_ND)] = rows_ND
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        total = gradients[0].contiguous()
        dist.all_reduce(total)
        start = sum(ctx.counts[: rank()])
        return total[start : start + ctx.counts[rank()]], None
