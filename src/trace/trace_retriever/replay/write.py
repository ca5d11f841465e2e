"""Write the result file, the page and the plot.

python -m trace_retriever.replay.write           reads the tables, does the dry run, writes all three
python -m trace_retriever.replay.write --page    writes page and plot from the committed result file
"""

from pathlib import Path
from typing import Any

import click

from trace_retriever.config.backbone import TinySize
from trace_retriever.config.train import AdaptParams
from trace_retriever.io.files import read_json, write_atomic, write_json
from trace_retriever.replay.assumptions import RUN
from trace_retriever.replay.dry_run import PROFILE, dry_run
from trace_retriever.replay.network import CONFIG, adapted, build
from trace_retriever.replay.page import page
from trace_retriever.replay.plot import write_plot
from trace_retriever.replay.readings import RESULTS, all_readings
from trace_retriever.replay.saved import check, use_flash
from trace_retriever.replay.tables import PAPER
from trace_retriever.runner import git_commit, machine

ENGINE = Path("benchmarks/results/engine.json")
PAGE, PLOT = Path("docs/paper-replay.md"), Path("docs/paper-replay.svg")
TINY_RANK = 8


def results() -> dict[str, Any]:
    """The content of the result file, from the checkout's tables, profile and assumptions."""
    readings = all_readings(PAPER, read_json(ENGINE)["sections"]["modes"])
    return {
        "command": "python -m trace_retriever.replay.write",
        "commit": git_commit(),
        "machine": machine(),
        "seed": 0,
        "readings": [one.model_dump() for one in readings],
        "dry_run": dry_run(PROFILE, RUN, CONFIG, PAPER),
        "activations": [*tiny_checks(), *large_checks()],
    }


def tiny_checks() -> list[dict[str, Any]]:
    """The formula against real passes of the tiny network on the CPU, in both types."""
    import torch

    from trace_retriever.model.tiny import build_tiny
    from trace_retriever.training.adapt import adapt
    from trace_retriever.training.worker import recompute_activations

    found = []
    for dtype in (torch.float32, torch.bfloat16):
        for recompute in (False, True):
            network: Any = build_tiny(TinySize(), ["word"], pixels=48, seed=0).network.to(dtype)
            adapt(network, AdaptParams(tuning="lora", rank=TINY_RANK, alpha=16))
            if recompute:
                recompute_activations(network)
            figures = check(network.train(), TINY_RANK, rows=4, length=128, recompute=recompute)
            found.append(
                {"network": f"tiny, {dtype}, CPU".replace("torch.", ""), **_kept(recompute), **figures}
            )
    return found


def large_checks() -> list[dict[str, Any]]:
    """The formula against passes of the 7B shapes on the meta device."""
    from trace_retriever.training.worker import recompute_activations

    params, found = AdaptParams(tuning="lora"), []
    network = adapted(build(CONFIG), params)
    use_flash(network)
    for recompute in (False, True):
        if recompute:
            recompute_activations(network)
        figures = check(network, params.rank, rows=4, length=512, recompute=recompute)
        found.append({"network": "7B shapes, bfloat16, meta", **_kept(recompute), **figures})
    return found


def _kept(recompute: bool) -> dict[str, str]:
    return {"kept": "recomputed" if recompute else "all kept"}


@click.command(help=__doc__)
@click.option("--page", "page_only", is_flag=True, help="Page and plot alone, from the committed results.")
def main(page_only: bool) -> None:
    """Write."""
    if not page_only:
        write_json(RESULTS, results())
    write_atomic(PAGE, page(read_json(RESULTS)))
    write_plot(PAPER, PLOT)


if __name__ == "__main__":
    main()
