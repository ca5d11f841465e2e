"""Run the study of the paper's questions, and write its report.

    python experiments/run.py            all of it: 78 minutes were measured, on two busy cores
    python experiments/run.py --quick    the same code on a toy study: minutes, and figures that mean nothing

Needs what `dvc repro` made (data set, routes, traces, backbone). What is done is not done again, so a stopped
run goes on where it was. `experiments/results/` holds what was found: `report.html` and `report.md`, the ten
answers (`answers.json`), and each run's table, params, commit and machine below `runs/`.
"""

from pathlib import Path

import click

from trace_retriever.errors import TraceError
from trace_retriever.experiments.places import Places
from trace_retriever.experiments.report import write_report
from trace_retriever.experiments.schedule import run_study
from trace_retriever.experiments.study import read_study, toy

HERE = Path("experiments")
WORK = Path(".trace/experiments")


@click.command()
@click.option(
    "--study", "path", type=Path, default=HERE / "study.yaml", show_default=True, help="What is run."
)
@click.option("--chain", type=Path, default=Path(), show_default=True, help="Where `dvc repro` was run.")
@click.option("--results", type=Path, help="What is kept; experiments/results unless --quick.")
@click.option("--work", type=Path, help="What is not kept.")
@click.option("--jobs", default=2, show_default=True, help="Processes, one a core.")
@click.option("--only", multiple=True, metavar="NAME", help="Run these variants or probes alone; no report.")
@click.option("--quick", is_flag=True, help="A toy study, to see that everything runs.")
@click.option("--report-only", is_flag=True, help="Run nothing.")
def main(
    path: Path,
    chain: Path,
    results: Path | None,
    work: Path | None,
    jobs: int,
    only: tuple[str, ...],
    quick: bool,
    report_only: bool,
) -> None:
    """Run what is not done yet, then write the report."""
    study = toy(read_study(path)) if quick else read_study(path)
    work = work or (WORK / "quick" if quick else WORK)
    results = results or (work / "results" if quick else HERE / "results")
    try:
        if not report_only:
            done = run_study(study, Places(chain, work, results), jobs=jobs, only=only)
            click.echo(f"{len(done)} units run")
        if not only:
            write_report(study, results)
            click.echo(f"report in {results}")
    except TraceError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
