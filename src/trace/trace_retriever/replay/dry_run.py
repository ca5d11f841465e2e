"""The 7B run without running it: memory of each GPU, updates, operations, hours and cost.

python -m trace_retriever.replay.dry_run --profile profiles/paper-7b.yaml
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from trace_retriever.config.backbone import BackboneConfig
from trace_retriever.config.embed import EmbedConfig
from trace_retriever.config.params import load_section
from trace_retriever.config.train import TrainConfig
from trace_retriever.replay.activations import kept
from trace_retriever.replay.assumptions import RUN, Assumptions, read_assumptions
from trace_retriever.replay.flops import Shape, hours, work
from trace_retriever.replay.memory import cache_token, state
from trace_retriever.replay.network import CONFIG, PARAMETERS, Counts, adapted, build, counts
from trace_retriever.replay.tables import PAPER, read_table
from trace_retriever.replay.workload import Load, mean_update, worst_update

PROFILE = Path("profiles/paper-7b.yaml")
GB = 1e9
STAGES = (0, 1, 2, 3)


def samples(folder: Path = PAPER) -> dict[str, int]:
    """Training samples by route (table `samples`)."""
    table = read_table(folder, "samples").groupby("route")["samples"].sum()
    return {str(route): int(count) for route, count in table.items()}


def dry_run(
    profile: Path, run: Path, config: Path, folder: Path, price: float | None = None
) -> dict[str, Any]:
    """All figures of a profile.

    Args:
        profile: params, of which `backbone`, `train` and `embed` count.
        run: assumptions.
        config: the backbone's `config.json`.
        folder: of the paper's tables.
        price: of a GPU hour; None takes that of `run`.
    """
    train, embed, backbone = (load_section(name, profile) for name in ("train", "embed", "backbone"))
    assert isinstance(train, TrainConfig)
    assert isinstance(embed, EmbedConfig)
    assert isinstance(backbone, BackboneConfig)
    assumed, drawn = read_assumptions(run), samples(folder)
    network = build(config)
    base, shape = counts(network).total, Shape.of(network.config)
    found = counts(adapted(network, train.adapt))
    longest = assumed.tokens.trace.high
    positions = backbone.max_prompt_tokens + backbone.max_trace_tokens
    return {
        "zero_stage": train.zero_stage,
        "parameters": {"published": PARAMETERS, "base": base, **asdict(found), "trainable": found.trainable},
        "epoch": _epoch(train, drawn),
        "state_gb": {str(stage): _state(found, train.processes, stage) for stage in STAGES},
        "activations": {
            "mean": _activations(
                shape, train, assumed, mean_update(_rows(train), drawn, assumed.tokens, longest)
            ),
            "worst": _activations(shape, train, assumed, worst_update(_rows(train), assumed.tokens, longest)),
        },
        "cache": {
            "bytes_a_token": cache_token(shape),
            "slots": embed.slots,
            "longest_slot_mb": cache_token(shape) * positions / 1e6,
        },
        "traces": {
            name: _time(
                shape, found, train, assumed, mean_update(train.batch, drawn, assumed.tokens, trace), price
            )
            for name, trace in assumed.tokens.trace.model_dump().items()
        },
    }


def _rows(train: TrainConfig) -> int:
    return train.batch // train.processes


def _epoch(train: TrainConfig, drawn: dict[str, int]) -> dict[str, int]:
    total = sum(drawn.values())
    return {"samples": total, "steps": train.steps, "wanted": -(-total // train.batch)}


def _state(found: Counts, gpus: int, stage: int) -> dict[str, float]:
    one = state(found, gpus, stage)
    return {name: size / GB for name, size in {**asdict(one), "total": one.total}.items()}


def _activations(shape: Shape, train: TrainConfig, assumed: Assumptions, load: Load) -> dict[str, Any]:
    """Of one GPU's rows, with recomputing and without."""
    figures: dict[str, Any] = {"tokens": load.tokens, "longest": load.longest}
    for name, recompute in (("recomputed", True), ("all_kept", False)):
        one = kept(
            shape,
            train.adapt.rank,
            tokens=load.tokens * assumed.padding,
            visual=load.visual,
            labels=load.labels,
            parts=train.buckets,
            recompute=recompute,
        )
        figures[name] = {part: size / GB for part, size in {**asdict(one), "peak": one.peak}.items()}
    return figures


def _time(
    shape: Shape, found: Counts, train: TrainConfig, assumed: Assumptions, load: Load, price: float | None
) -> dict[str, Any]:
    """Operations of an update, and hours on each device at both ends of the utilisation."""
    one = work(shape, found, load, assumed.tokens.picture, recompute=train.gradient_checkpointing)
    price = assumed.price if price is None else price
    devices = {}
    for name, gpu in assumed.devices.items():
        ends = (assumed.mfu.high, assumed.mfu.low)
        spent = [hours(one.useful, train.steps, train.processes, gpu.flops, share) for share in ends]
        gpu_hours = [train.processes * value for value in spent]
        cost = None if price is None else [price * value for value in gpu_hours]
        devices[name] = {"hours": spent, "gpu_hours": gpu_hours, "cost": cost}
    return {
        "tokens_an_update": load.tokens,
        "operations": {**asdict(one), "useful": one.useful, "done": one.done},
        "devices": devices,
    }


@click.command(help=__doc__)
@click.option("--profile", type=click.Path(path_type=Path), default=PROFILE, show_default=True)
@click.option("--run", type=click.Path(path_type=Path), default=RUN, show_default=True, help="Assumptions.")
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG, show_default=True)
@click.option("--tables", type=click.Path(path_type=Path), default=PAPER, show_default=True)
@click.option("--price", type=float, help="Of a GPU hour; else that of the assumptions.")
def main(profile: Path, run: Path, config: Path, tables: Path, price: float | None) -> None:
    """Print the figures as JSON."""
    click.echo(json.dumps(dry_run(profile, run, config, tables, price), indent=2))


if __name__ == "__main__":
    main()
