"""Write what a server did under load into docs/serving.md, from the committed results.

python benchmarks/serving_docs.py            writes docs/serving.md
python benchmarks/serving_docs.py --check    exits with 1 when it is not what the results say
"""

import sys
from pathlib import Path
from typing import Any

import click

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
    ratio = found["targets"]["p99 of simple queries at 1x, times unloaded"]
    peak = max(row.get("peak_bytes", 0) for row in sections.values()) / 2**20
    machine = sections["open_1x"]["measured"]["machine"]
    lines += [
        "",
        f"Capacity: {sections['capacity']['answered_per_second']:.0f} requests/s, closed loop, "
        f"{sections['capacity']['clients']} clients, half of the queries complex; {machine['cpu']}, "
        f"{machine['cpus']} cores, the client on one of them. Peak memory {peak:.0f} MiB. p99 of simple "
        f"queries at 1x is {ratio['value']:.1f} times that without load; the aim was {ratio['bound']:.0f}.",
    ]
    return "\n".join(lines)


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
