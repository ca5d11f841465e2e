"""The engine beside the loops of published projects: same model, same queries, same embeddings, one run.

    python benchmarks/engine.py            all sections → benchmarks/results/engine.json
    python benchmarks/engine.py --quick    small samples, to see that it works

Every system goes from items to vectors: tokens, pictures (in memory, decoded before), padding, network.
Repeats are interleaved: each system runs once in each of them. One thread.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from engine_sections import MIXES, SECTIONS, SEED, Bench
from timing import Results, environment
from workload import read_queries

from trace_retriever.io.files import read_json, write_json
from trace_retriever.model.bundle import load_model


def targets(sections: dict[str, Any]) -> dict[str, Any]:
    """What the engine is held to: name → value, bound and whether it holds."""
    rows: dict[str, Any] = {}

    def hold(name: str, value: float, bound: float, *, least: bool) -> None:
        rows[name] = {"value": value, "bound": bound, "holds": value >= bound if least else value <= bound}

    for name in MIXES:
        found = sections["peers"][name]
        systems = found["systems"]
        own = max(
            (one for key, one in systems.items() if key.startswith("slots_")), key=lambda one: -one["seconds"]
        )
        for peer, bound in (("generate_then_reencode_32", 4.0), ("static_batch_4", 8.0)):
            hold(f"{name}: times {peer}", systems[peer]["seconds"] / own["seconds"], bound, least=True)
        largest = max(one["largest_difference"] for one in systems.values())
        hold(f"{name}: largest difference of embeddings", largest, 1e-5, least=False)
        counts = systems["slots_64"]["cost"]
        hold(
            f"{name}: row-steps / needed",
            counts["decode_row_steps"] / counts["needed_row_steps"],
            1.03,
            least=False,
        )
        hold(
            f"{name}: prefill slots / tokens",
            counts["prefill_slots"] / counts["prefill_tokens"],
            1.06,
            least=False,
        )
    alone = sections["direct"]
    hold("simple: decode steps", alone["decode_steps"], 0, least=False)
    hold("simple: cost over engine without routes", alone["auto_over_never"], 1.05, least=False)
    hold("simple: cost over plain forwards", alone["auto_over_plain"], 1.05, least=False)
    return rows


@click.command()
@click.option("--model", type=click.Path(path_type=Path), default=Path("models/trace"), show_default=True)
@click.option("--dataset", type=click.Path(path_type=Path), default=Path("data/mbeir"), show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("benchmarks/results/engine.json"))
@click.option("--section", "sections", multiple=True, type=click.Choice(list(SECTIONS)), help="Only these.")
@click.option("--count", default=768, show_default=True, help="Queries of a mix.")
@click.option("--repeats", default=5, show_default=True)
@click.option("--quick", is_flag=True, help="32 queries, one repeat.")
def main(
    model: Path, dataset: Path, out: Path, sections: Sequence[str], count: int, repeats: int, quick: bool
) -> None:
    """Measure, write the results, and say which targets hold."""
    torch.set_num_threads(1)
    loaded, queries = load_model(model), read_queries(dataset)
    for asked in queries:
        if asked.item.image is not None:
            loaded.pictures.read(asked.item.image)
    bench = Bench(loaded, queries, dataset, *((32, 1) if quick else (count, repeats)))
    results = Results(out, {**environment(), "seed": SEED, "count": bench.count, "repeats": bench.repeats})
    for name in sections or SECTIONS:
        click.echo(f"{name} ...")
        results.add(name, SECTIONS[name](bench))
    if {"peers", "direct"} <= set(results.sections):
        results.add("targets", {"rows": targets(results.sections)})
        for name, row in results.sections["targets"]["rows"].items():
            click.echo(
                f"{'holds' if row['holds'] else 'SHORT':<6} {name:<52} {row['value']:.3g} ({row['bound']:g})"
            )
    if "modes" in results.sections:  # where `evaluate.route_budget.cost_file` looks for it
        write_json(out, {**read_json(out), "route_cost": results.sections["modes"]["route_cost"]})


if __name__ == "__main__":
    sys.exit(main())
