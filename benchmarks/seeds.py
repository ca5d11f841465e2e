"""Train and evaluate the demo with further seeds, so that its figures come with intervals over training runs.

    python benchmarks/seeds.py --seed 2 --seed 3

The first seed is what `dvc repro` evaluated itself. The others use its data, routes, traces and backbone;
each trains TRACE and the encoder-only baseline side by side (one process each, equal steps, same queries).
What each seed found goes to `results/seeds.json`, which the evaluation report and the README read. A
seed that is there already is not run again; an interrupted one resumes.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from trace_retriever.evaluation.seeds import add_seed
from trace_retriever.io.files import read_json, write_json
from trace_retriever.runner import machine

WORK = Path(".trace/seeds")
RESULT = Path("results/seeds.json")
VARIANTS = ("trace", "encoder")


def _trace(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "trace_retriever.cli", *arguments], check=True)


def _train_and_embed(variant: str, seed: int, settings: tuple[str, ...]) -> None:
    """One variant with one seed: `<work>/<seed>/<variant>` holds the model, `…-embeddings` the vectors."""
    base = WORK / str(seed) / variant
    chosen = (f"train.variant={variant}", f"train.seed={seed}", "train.processes=1", *settings)
    if not base.exists():
        overrides = [word for setting in chosen for word in ("--set", setting)]
        _trace("train", *overrides, "--out", str(base), "--report", f"{base}-report")
    vectors = f"{base}-embeddings"
    if not Path(vectors).exists():
        _trace("embed", "--model", str(base), "--out", vectors, "--report", f"{base}-embed-report")


def run_seed(seed: int, settings: tuple[str, ...]) -> None:
    """Train both variants at once, evaluate them together, and add what they found to the result file."""
    import pandas as pd

    with ThreadPoolExecutor(len(VARIANTS)) as threads:
        list(threads.map(lambda variant: _train_and_embed(variant, seed, settings), VARIANTS))
    base = WORK / str(seed)
    evaluation = base / "evaluation"
    inputs = ("--embeddings", f"{base}/trace-embeddings", "--baseline", f"{base}/encoder-embeddings")
    _trace("evaluate", *inputs, "--out", str(evaluation), "--report", str(base / "evaluate-report"))
    add_seed(RESULT, seed, pd.read_parquet(evaluation / "queries.parquet"))
    command = f"python benchmarks/seeds.py --seed {seed}" + "".join(f" --set {one}" for one in settings)
    _record_run(seed, command, {name: base / f"{name}-report" for name in VARIANTS})


def add_chain() -> None:
    """Take what `dvc repro` itself evaluated as the first seed."""
    import pandas as pd

    reports = {name: Path("results/train") / name for name in VARIANTS}
    seed = read_json(reports["trace"] / "manifest.json")["config"]["seed"]
    add_seed(RESULT, seed, pd.read_parquet("evaluation/queries.parquet"))
    _record_run(seed, "dvc repro", reports)


def _record_run(seed: int, command: str, reports: Mapping[str, Path]) -> None:
    """Where a seed's figures come from: commit, command, machine, and each training's time."""
    manifests = {name: read_json(report / "manifest.json") for name, report in reports.items()}
    content = read_json(RESULT)
    content.setdefault("runs", {})[str(seed)] = {
        "command": command,
        "commit": manifests["trace"]["commit"],
        "machine": machine(),
        "train_seconds": {name: manifest["seconds"] for name, manifest in manifests.items()},
        "inputs": manifests["trace"]["inputs"],
    }
    write_json(RESULT, content)


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, default=(2, 3), show_default=True)
@click.option("--set", "settings", multiple=True, metavar="SECTION.KEY=VALUE", help="Override a param.")
@click.option("--keep/--no-keep", default=True, help="Keep models and vectors below .trace/seeds.")
def main(seeds: tuple[int, ...], settings: tuple[str, ...], keep: bool) -> None:
    """Run the seeds that results/seeds.json does not hold yet."""
    add_chain()
    done = read_json(RESULT)["seeds"] if RESULT.exists() else {}
    for seed in seeds:
        if str(seed) in done:
            click.echo(f"seed {seed}: already in {RESULT}")
            continue
        run_seed(seed, settings)
        click.echo(f"seed {seed}: done")
        if not keep:
            shutil.rmtree(WORK / str(seed))
    click.echo(json.dumps({"seeds": sorted(read_json(RESULT)["seeds"], key=int)}))


if __name__ == "__main__":
    main()
