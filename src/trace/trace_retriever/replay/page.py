"""`docs/paper-replay.md`, written from `experiments/results/replay.json` alone."""

from collections.abc import Iterable, Mapping
from typing import Any

from trace_retriever.replay.readings import Reading

Found = Mapping[str, Any]


def page(found: Found) -> str:
    """The page's text."""
    parts = [
        "# The paper, replayed",
        "TRACE ([arXiv 2603.02929](https://arxiv.org/abs/2603.02929)) came without code, weights or data. "
        "This page reads "
        "its published figures critically, and says what its 7B run would take in this project. Nothing "
        "here was "
        "trained. It is written from `experiments/results/replay.json`: `python -m "
        "trace_retriever.replay.write`.",
        *_readings(found["readings"]),
        *_run(found["dry_run"]),
        *_check(found["activations"]),
        f"`{found['command']}`; commit `{found['commit']}`, seed {found['seed']} (nothing is drawn), Python "
        f"{found['machine']['python']}, {found['machine']['cpus']} CPUs.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: str, rows: Iterable[Iterable[object]]) -> str:
    columns = head.count("|") + 1
    lines = [f"| {head} |", f"|{'---|' * columns}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def _readings(rows: Iterable[Any]) -> list[str]:
    read = [Reading.model_validate(row) for row in rows]
    return [
        "## What the published tables support",
        "The tables are in [experiments/paper](../experiments/paper/README.md). A published R@k is a share "
        "of n queries, with a "
        "standard error of sqrt(p(1 - p)/n). Differences are held against independent errors, which is "
        "strict where "
        "queries are shared and models find the same ones easy; how often two models disagree is not "
        "published, so no "
        "paired test can be made. Seeds are not published either: beyond the test set's size is necessary, "
        "not enough.",
        _table(
            "claim | data | reading | verdict",
            ([one.claim, one.data, one.reading, f"**{one.verdict}**"] for one in read),
        ).replace("<|emb|>", r"`<\|emb\|>`"),
        "![Published differences with their intervals](paper-replay.svg)",
        "Blue: pairs without traces, red: with them, grey: ablations. Lines are 95 % intervals with "
        "independent errors; "
        "ticks those of nested ones, the least that shared queries allow.",
    ]


def _run(run: Found) -> list[str]:
    params, epoch = run["parameters"], run["epoch"]
    trained = ", ".join(f"{name} {count:,}" for name, count in sorted(params["trained"].items()))
    stages = ([stage, *(f"{one[part]:.2f}" for part in STATE)] for stage, one in run["state_gb"].items())
    return [
        "## The 7B run",
        "[profiles/paper-7b.yaml](../profiles/paper-7b.yaml) has the params, each choice that the paper "
        "leaves open with its "
        "reason; [run.yaml](../experiments/paper/run.yaml) what is assumed of lengths and devices; "
        "[cluster.yaml](../experiments/paper/cluster.yaml) two machines of eight GPUs. "
        "`python -m trace_retriever.replay.dry_run --profile profiles/paper-7b.yaml` builds the network on "
        "the meta device.",
        f"**Parameters.** {params['base']:,} as published ({params['published']:,}). Trained are "
        f"{params['trainable']:,}: "
        f"{trained}.".replace("<|emb|>", "`<|emb|>`"),
        f"**Updates.** {epoch['samples']:,} samples in batches of the profile: {epoch['wanted']:,}; the "
        f"profile has "
        f"{epoch['steps']:,}.",
        "**State of a GPU, GB (10^9 bytes)**",
        _table("ZeRO | weights | gradients | optimizer | all", stages),
        "**Activations of a GPU, GB**, with the longest traces assumed",
        _table(
            "rows | tokens | kept | one layer again | `lm_head` | peak | peak without recomputing", _acts(run)
        ),
        f"Under the profile's ZeRO {run['zero_stage']} that is {_whole(run, 'mean'):.1f} GB a GPU in the "
        f"mean and "
        f"{_whole(run, 'worst'):.1f} GB at worst. "
        "Peaks leave out CUDA, NCCL and DeepSpeed's buckets (a few GB), and fragmentation.",
        f"**Cache.** {run['cache']['bytes_a_token']:,} bytes a position; at most "
        f"{run['cache']['longest_slot_mb']:.0f} MB a "
        f"slot, times {run['cache']['slots']} slots.",
        "**Time**, at the high and the low end of the assumed share of peak; no GPU has been measured",
        _table(
            "traces | tokens an update | useful operations | of them again | device | hours | GPU hours",
            _times(run),
        ),
        "The cost is GPU hours times a price: `--price`.",
    ]


def _acts(run: Found) -> Iterable[list[str]]:
    for name, one in run["activations"].items():
        again = one["recomputed"]
        parts = (f"{again[part]:.1f}" for part in ("stored", "layer", "head", "peak"))
        yield [name, f"{one['tokens']:,.0f}", *parts, f"{one['all_kept']['peak']:.0f}"]


def _whole(run: Found, rows: str) -> float:
    state: float = run["state_gb"][str(run["zero_stage"])]["total"]
    peak: float = run["activations"][rows]["recomputed"]["peak"]
    return state + peak


def _times(run: Found) -> Iterable[list[str]]:
    for name in ("low", "middle", "high"):
        one = run["traces"][name]
        work = one["operations"]
        for device, spent in one["devices"].items():
            ranges = (
                " to ".join(f"{value:.{digits}f}" for value in spent[key]) for key, digits in UNITS.items()
            )
            tokens, again = f"{one['tokens_an_update']:,.0f}", f"{work['recomputed'] / work['useful']:.0%}"
            yield [name, tokens, f"{work['useful']:.2e}", again, device, *ranges]


STATE = ("weights", "gradients", "optimizer", "total")
UNITS = {"hours": 1, "gpu_hours": 0}


def _check(checks: Iterable[Found]) -> list[str]:
    rows = (
        [
            one["network"],
            one["kept"],
            f"{one['measured']:,.0f}",
            f"{one['formula']:,.0f}",
            f"{one['ratio']:.3f}",
        ]
        for one in checks
    )
    return [
        "**The formula of activations, checked.** Bytes that a forward pass of the language model keeps, "
        "counted by torch's "
        "hooks on saved tensors, against the formula of `replay/activations.py`:",
        _table("network | layers | counted | formula | formula / counted", rows),
    ]
