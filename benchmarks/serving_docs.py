"""Write what a server did under load into docs/serving.md, from the committed results.

python benchmarks/serving_docs.py            writes docs/serving.md
python benchmarks/serving_docs.py --check    exits with 1 when it is not what the results say
"""

import sys
from pathlib import Path
from typing import Any

import click
from serving_rounds import SHARES

from serving import P99, ROUNDS
from trace_retriever.io.files import read_json, write_atomic

RESULTS, PAGE = Path("benchmarks/results/serving.json"), Path("docs/serving.md")
BEGIN, END = "<!-- load: begin -->", "<!-- load: end -->"
STRETCHES = {
    "unloaded": "simple, one at a time",
    "open_1x": "1x capacity",
    "open_2x": "2x",
    "open_3x": "3x",
}


def table(found: dict[str, Any]) -> str:
    """The section's text."""
    sections = found["sections"]
    lines = [
        "| traffic | sent | answered | refused | lost, wrong, failed | simple p50 / p99, ms "
        "| complex p50 / p99, ms |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, title in STRETCHES.items():
        row = sections[name]
        bad = row["lost"] + row["wrong"] + row["failed"]
        times = [_times(row["milliseconds"][route]) for route in ("simple", "complex")]
        cells = [title, row["sent"], row["answered"], row["refused"], bad, *times]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    aim = found["targets"][P99]
    peak = max(row.get("peak_bytes", 0) for row in sections.values()) / 2**20
    machine = sections["open_1x"]["measured"]["machine"]
    lines += [
        "",
        f"{machine['cpu']}, {machine['cpus']} cores, the client on one of them; half of the queries complex. "
        f"Peak memory of both processes {peak:.0f} MiB. The table pools the rounds; their medians:",
        "",
        "| server | closed loop, requests/s | capacity, requests/s | p99 of simple alone, ms "
        f"| at capacity, ms | ratio (each round) | {' | '.join(f'at {share:.0%}' for share in SHARES)} |",
        f"|---|---:|---:|---:|---:|---:|{'---:|' * len(SHARES)}",
        *(_server(name, row) for name, row in sections.items() if name.startswith(ROUNDS)),
        "",
        "Capacity is the highest rate of open traffic, from the closed loop's downwards by twentieths, "
        "of which nothing was refused twice in a row; the second time is what is measured. "
        f"The aim is a ratio of {aim['bound']:.0f}; it is {'met' if aim['holds'] else 'missed'}.",
    ]
    return "\n".join(lines)


def _server(name: str, found: dict[str, Any]) -> str:
    middle, each = found["median"], [f"{row['ratio']:.1f}" for row in found["rounds"]]
    cells = [
        name.removeprefix(ROUNDS),
        *(f"{middle[key]:.0f}" for key in ("closed_per_second", "rate", "alone_p99", "open_p99")),
        f"{middle['ratio']:.1f} ({', '.join(each)})",
        *(f"{middle[f'ratio at {share:g}']:.1f}" for share in SHARES),
    ]
    return f"| {' | '.join(cells)} |"


def _times(found: dict[str, float]) -> str:
    return f"{found['p50']:.0f} / {found['p99']:.0f}" if found["count"] else ""


@click.command()
@click.option("--check", is_flag=True, help="Only compare.")
def main(check: bool) -> None:
    """Write the section, or compare it with what is there."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    new = f"{before}{BEGIN}\n{table(read_json(RESULTS))}\n{END}{after}"
    if check and new != page:
        click.echo(f"{PAGE} is not what {RESULTS} says: run python benchmarks/serving_docs.py", err=True)
        sys.exit(1)
    if not check:
        write_atomic(PAGE, new)


if __name__ == "__main__":
    main()
