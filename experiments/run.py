"""Run the study of the paper's questions, and write its report.

    python experiments/run.py            all of it: about two and a half hours on two cores
    python experiments/run.py --quick    the same code on a toy study: minutes, and figures that mean nothing

Needs what `dvc repro` made (data set, routes, traces, backbone). What is done is not done again, so a stopped
run goes on where it was; `experiments/results/` holds what was found.
"""

from pathlib import Path

import click

from trace_retriever.experiments.places import Places
from trace_retriever.experiments.schedule import run_study
from trace_retriever.experiments.study import read_study

HERE = Path("experiments")


@click.command()
@click.option("--study", type=Path, default=HERE / "study.yaml", show_default=True, help="What is run.")
@click.option("--chain", type=Path, default=Path(), show_default=True, help="Where `dvc repro` was run.")
@click.option("--results", type=Path, default=HERE / "results", show_default=True, help="What is kept.")
@click.option("--work", type=Path, default=Path(".trace/experiments"), show_default=True, help="What is not.")
@click.option("--jobs", default=2, show_default=True, help="Processes, one a core.")
@click.option("--only", multiple=True, metavar="NAME", help="Run these variants or probes alone.")
def main(study: Path, chain: Path, results: Path, work: Path, jobs: int, only: tuple[str, ...]) -> None:
    """Run what is not done yet."""
    places = Places(chain, work, results)
    done = run_study(read_study(study), places, jobs=jobs, only=only)
    click.echo(f"{len(done)} units run; results in {results}")


if __name__ == "__main__":
    main()
