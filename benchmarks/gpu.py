"""What the engine, training and search do on a GPU, with a 7B-shaped network of random weights.

    python benchmarks/gpu.py --out benchmarks/results/gpu.json
    python benchmarks/gpu.py --tiny --out tiny.json       # the same code, tiny, on this machine's CPU
    python benchmarks/gpu.py --chain .trace/gpu           # add what scripts/gpu_chain.sh has trained

Results are written after each section, so that a call which is cut short keeps what it has; `--only` goes on
with the rest, and keeps sections that are there. It needs torch, transformers, pydantic and, for training,
peft; nothing is downloaded. Without CUDA it says what it would measure, and exits with 2.
"""

import sys
import time
from pathlib import Path
from typing import Any

import click
import torch
from gpu_sections import SECTIONS, Bench
from timing import Clock, Results, environment

from trace_retriever.io.files import read_json

CHAIN_REPORTS = ("backbone", "train/trace", "train/encoder", "embed/trace", "evaluate", "gate")


def chain_figures(work: Path) -> dict[str, Any]:
    """Metrics and times of the steps that a chain has done, as its manifests say them."""
    figures: dict[str, Any] = {}
    for name in CHAIN_REPORTS:
        report = work / "results" / name
        if (report / "manifest.json").exists():
            manifest = read_json(report / "manifest.json")
            figures[name] = {
                "metrics": read_json(report / "metrics.json"),
                "seconds": manifest["seconds"],
                "machine": manifest["machine"],
            }
    return figures


def table() -> str:
    """The sections and what each measures."""
    return "\n".join(f"  {name:<10} {about}" for name, (_, about) in SECTIONS.items())


@click.command(help=__doc__)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/gpu.json"))
@click.option("--tiny", is_flag=True, help="Every section at a tiny size, on the CPU.")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="These sections alone.")
@click.option("--seconds", default=120.0, show_default=True, help="Budget of a section.")
@click.option("--repeats", default=3, show_default=True, help="Of each measurement, if there is time.")
@click.option("--chain", type=click.Path(path_type=Path, exists=True), help="A chain's directory, to add.")
def main(
    out: Path, tiny: bool, only: tuple[str, ...], seconds: float, repeats: int, chain: Path | None
) -> None:
    """Measure the sections in turn."""
    results = Results(out, {**environment(), "seed": 0, "tiny": tiny})
    if chain is not None:
        results.add("openmoji", chain_figures(chain))
        return
    if not tiny and not torch.cuda.is_available():
        click.echo(f"no CUDA device here; on one this measures:\n{table()}", err=True)
        sys.exit(2)
    device = torch.device("cpu" if tiny else "cuda")
    bench = Bench(device, tiny=tiny, known=results.sections.get("device"))
    for name in only or SECTIONS:
        measure, about = SECTIONS[name]
        click.echo(f"{name}: {about}", err=True)
        started = time.monotonic()
        figures = measure(bench, Clock(device, seconds=seconds, repeats=repeats))
        results.add(name, {**figures, "took_seconds": round(time.monotonic() - started, 1)})
        if name == "device":
            bench.known = figures
    click.echo(f"written to {out}", err=True)


if __name__ == "__main__":
    main()
