"""DeepSpeed, configured here and nowhere stored: ZeRO stages, precision, AdamW, learning-rate schedule."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trace_retriever.training.distributed import world_size


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are updated.

    Attributes:
        steps: updates in all.
        batch: rows of an update over all processes (DeepSpeed only reports it).
        lr: peak learning rate, reached after `warmup` steps, then down a cosine to zero.
        weight_decay: on matrices; norms, biases and scalars have none.
        clip: global gradient norm.
        zero_stage: what is split over processes. 1: optimizer states; 2: gradients too; 3: weights too.
    """

    steps: int
    batch: int
    lr: float
    warmup: int = 30
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    zero_stage: int = 0
    bf16: bool = False


def deepspeed_config(settings: Optimisation) -> dict[str, Any]:
    """DeepSpeed's configuration for these settings."""
    return {
        "train_micro_batch_size_per_gpu": max(1, settings.batch // world_size()),
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.clip,
        "bf16": {"enabled": settings.bf16},
        "zero_optimization": {"stage": settings.zero_stage},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 2**62,  # progress is shown by the loop
    }


def start_engine(module: nn.Module, settings: Optimisation) -> Any:
    """Wrap a module, whose forward is one step's loss, in a DeepSpeed engine with AdamW on what trains."""
    import deepspeed

    optimizer = torch.optim.AdamW(
        parameter_groups(module, settings.weight_decay), lr=settings.lr, betas=settings.betas
    )
    engine, *_ = deepspeed.initialize(
        model=module,
        optimizer=optimizer,
        lr_scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, schedule(settings)),
        config=deepspeed_config(settings),
        dist_init_required=False,
    )
    return engine


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters: matrices with weight decay, norms, biases and scalars without."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def schedule(settings: Optimisation) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine to zero: update number (from 0) → factor on the learning rate."""

    def factor(step: int) -> float:
        if step < settings.warmup:
            return (step + 1) / settings.warmup
        done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    return factor


def trainable_weights(engine: Any) -> dict[str, torch.Tensor]:
    """Whole copies of the trainable weights, on the CPU; every process must call this (ZeRO 3 gathers)."""
    import deepspeed

    copies = {}
    for name, parameter in engine.module.named_parameters():
        if parameter.requires_grad:
            gathered = [parameter] if hasattr(parameter, "ds_id") else []
            with deepspeed.zero.GatheredParameters(gathered, enabled=bool(gathered)):
                copies[name] = parameter.detach().to("cpu", copy=True).contiguous()
    return copies
