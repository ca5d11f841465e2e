"""The data steps at M-BEIR's size: records per second, peak memory, bytes on disk.

    python benchmarks/data.py --scale 0.05 --scale 0.2

Makes an M-BEIR checkout of the given share of the official sizes (`made_mbeir.py`) and runs `prepare`,
`route`, `synthesize`, `filter` and `validate` on it as the command line does, each in a process of its own,
whose peak of resident memory the kernel reports. No teacher is asked: routes are the data sets', and the
answers that `synthesize` would get are put into its log, as a killed run leaves them; so its figure is that
of its files. From the two largest scales of a result a straight line is drawn to M-BEIR's own size: seconds
and peak of memory that a step would take there.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
from made_mbeir import make_checkout

from trace_retriever.io.files import write_json

RESULT = Path(__file__).resolve().parent / "results" / "data.json"
LIBRARIES = ("numpy", "pandas", "pyarrow", "pydantic", "great_expectations")
SETTINGS = {
    "prepare": ("prepare.source=mbeir",),
    "route": ("route.strategy=dataset", "route.compare=[]"),
    "synthesize": (
        "synthesize.teacher.kind=openai",
        "synthesize.teacher.openai.model=none",
        "synthesize.teacher.openai.base_url=http://127.0.0.1:9/v1",  # no one listens: nothing is asked
        "synthesize.teacher.openai.api_key_env=''",
        "synthesize.teacher.openai.attempts=1",
        "synthesize.blind_queries=0",
    ),
    "filter": ("filter.fine.verifier=none",),
    "validate": ("validate.leak.by=path", "validate.images.sample=1000"),
}
INPUTS = {
    "prepare": {},
    "route": {"dataset": "prepare"},
    "synthesize": {"dataset": "prepare", "routes": "route"},
    "filter": {"dataset": "prepare", "traces": "synthesize"},
    "validate": {"dataset": "prepare", "routes": "route", "kept": "filter"},
}


def run(name: str, folder: Path, *settings: str, may_fail: bool = False) -> dict[str, Any]:
    """Run a step in a process of its own; its seconds, peak of resident memory and metrics."""
    command = [sys.executable, "-m", "trace_retriever.cli", name, "--out", str(folder / name)]
    command += ["--report", str(folder / "report" / name)]
    command += [word for key, made in INPUTS[name].items() for word in (f"--{key}", str(folder / made))]
    command += [word for setting in (*SETTINGS[name], *settings) for word in ("--set", setting)]
    log = folder / f"{name}.log"
    started = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not may_fail:
        raise click.ClickException(f"{name} ended with code {process.returncode}; see {log}")
    metrics = folder / "report" / name / "metrics.json"
    return {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_rss_mb": round(usage.ru_maxrss / 1024),
        "metrics": json.loads(metrics.read_text()) if metrics.exists() else {},
    }


def answer_all(folder: Path) -> int:
    """Put an answer for each complex query into the log that a run of `synthesize` has left; how many."""
    import pyarrow.parquet as pq

    (log,) = (folder / ".trace" / "work").glob("synthesize-*/traces.jsonl")
    table = pq.read_table(folder / "route" / "routes.parquet", columns=["qid", "route"])
    count = 0
    with log.open("w") as stream:
        for line in _answers(table):
            stream.write(line)
            count += 1
    return count


def _answers(table: Any) -> Iterator[str]:
    for batch in table.to_batches(100_000):
        for row in batch.to_pylist():
            if row["route"] == "complex":
                reasoning = (
                    f"The query {row['qid']} names a thing; its picture shows where; so what answers is told."
                )
                name = f"q{row['qid'].replace(':', 'x')}"  # the made words of every query begin with it
                answer = {"reasoning": reasoning, "answer": f"That which goes with {name}."}
                yield json.dumps({"qid": row["qid"], "answer": answer}) + "\n"


def run_all(folder: Path, scale: float) -> dict[str, Any]:
    """Make the checkout and run every step."""
    started = time.monotonic()
    made = make_checkout(folder / "checkout", scale)
    made["seconds"] = round(time.monotonic() - started)
    steps = {"prepare": run("prepare", folder, f"prepare.mbeir.path={folder / 'checkout'}")}
    steps["route"] = run("route", folder)
    run("synthesize", folder, may_fail=True)  # makes the log's directory, and finds that no teacher answers
    traces = answer_all(folder)
    steps["synthesize"] = run("synthesize", folder)
    steps["filter"] = run("filter", folder)
    steps["validate"] = run("validate", folder)
    lines = {"prepare": made["queries"] + made["candidates"], "route": steps["route"]["metrics"]["queries"]}
    lines |= {"synthesize": traces, "filter": traces}
    lines["validate"] = sum(suite["rows"] for suite in steps["validate"]["metrics"]["suites"].values())
    for name, step in steps.items():
        step["records"] = lines[name]
        step["records_per_second"] = round(lines[name] / step["seconds"])
        step["metrics"] = {
            key: value for key, value in step["metrics"].items() if isinstance(value, int | float)
        }
    return {"made": made, "steps": steps, "gigabytes": round(_size(folder) / 1e9, 2)}


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def measured_on() -> dict[str, Any]:
    """Machine, versions and command.

    Called in a process of its own: it imports torch, and the kernel counts the memory of the process that
    starts a step to the step's peak.
    """
    from timing import environment

    about = environment() | {"seed": 0}
    about["versions"] |= {name: version(name) for name in LIBRARIES}
    return about


def at_full_size(scales: dict[str, Any]) -> dict[str, Any]:
    """Step → seconds and peak of memory at scale 1, on the line through the two largest scales.

    Tables of less than a part (250,000 rows) grow faster than larger ones: the line is then an upper bound.
    """
    if len(scales) < 2:
        return {}
    one, other = sorted(map(float, scales))[-2:]
    low, high = scales[f"{one:g}"]["steps"], scales[f"{other:g}"]["steps"]
    found: dict[str, Any] = {"from": [one, other]}
    for name in high:
        slopes = {
            key: (high[name][key] - low[name][key]) / (other - one) for key in ("seconds", "peak_rss_mb")
        }
        found[name] = {key: round(high[name][key] + slope * (1 - other)) for key, slope in slopes.items()}
    return found


@click.command()
@click.option(
    "--scale",
    "shares",
    type=float,
    multiple=True,
    default=(0.05, 0.2),
    show_default=True,
    help="Of M-BEIR's size.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".trace/data-benchmark"), show_default=True
)
@click.option("--result", type=click.Path(path_type=Path), default=RESULT, show_default=True)
@click.option("--keep", is_flag=True, help="Leave the data.")
def main(shares: tuple[float, ...], folder: Path, result: Path, *, keep: bool) -> None:
    """Measure the data steps at shares of M-BEIR's size; one entry a scale is kept in the result."""
    folder = folder.resolve()
    if folder.exists():
        raise click.ClickException(f"{folder} is there already: remove it, or name another --folder")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        about = pool.submit(measured_on).result()
    for scale in shares:
        part = folder / f"{scale:g}"
        part.mkdir(parents=True)
        found = run_all(part, scale) | {"measured": about}
        scales = json.loads(result.read_text())["scales"] if result.exists() else {}
        scales[f"{scale:g}"] = found
        write_json(result, {**about, "scales": scales, "full_size": at_full_size(scales)})
        if not keep:
            shutil.rmtree(part)


if __name__ == "__main__":
    main()
