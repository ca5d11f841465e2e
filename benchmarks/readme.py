"""Write the README's figures from the committed results, between its markers: nothing there is typed by hand.

python benchmarks/readme.py            writes README.md
python benchmarks/readme.py --check    exits with 1 when README.md is not what the results say
"""

import sys
from pathlib import Path

import click

from trace_retriever.evaluation.seeds import over_seeds, read_seeds, systems_of
from trace_retriever.io.files import read_json, write_atomic
from trace_retriever.mbeir.pairs import Pair, sorted_pairs

README = Path("README.md")
SEEDS = Path("results/seeds.json")
ANSWERS = Path("experiments/results/answers.json")
SYSTEMS = {
    "auto": "adaptive",
    "blend": "blend",
    "always": "always reason",
    "never": "never reason",
    "encoder": "encoder-only",
}
RESAMPLES = 2000


def seeds_table() -> str:
    """R@1 and R@5 per pair and system over seeds, and the paired difference adaptive - encoder-only."""
    seeds = read_seeds(SEEDS)
    available = systems_of(seeds)
    pairs = sorted_pairs({Pair.parse(name) for name in available["auto"]})
    lines = [
        f"R@1 / R@5 in percent on {_queries()} held-out test queries, local pools, mean of {len(seeds)} "
        "training seeds; last column: the paired difference in R@1 with its 95 % interval (bootstrap over "
        "seeds and queries).",
        "",
        f"| pair | {' | '.join(SYSTEMS.values())} | adaptive - encoder |",
        f"|---|{'---:|' * (len(SYSTEMS) + 1)}",
    ]
    groups = {
        "**complex**": [pair.name for pair in pairs if pair.is_complex],
        "**simple**": [pair.name for pair in pairs if not pair.is_complex],
    }
    for title, names in groups.items():
        for name in names:
            lines.append(_row(f"`{name}`", seeds, [name]))
        lines.append(_row(f"{title} (mean of {len(names)})", seeds, names))
    lines.append(_row("**all pairs**", seeds, [pair.name for pair in pairs]))
    return "\n".join(lines)


def _queries() -> int:
    return sum(len(qids.split()) for qids in read_json(SEEDS)["queries"].values())


def _row(title: str, seeds: dict[int, object], names: list[str]) -> str:
    cells = []
    for system in SYSTEMS:
        first, five = (
            over_seeds(seeds, names, system, measure=measure, resamples=RESAMPLES, seed=0).mean
            for measure in ("hit_1", "headline")
        )
        cells.append(f"{100 * first:.0f} / {100 * five:.0f}")
    gain = over_seeds(seeds, names, "auto", "encoder", measure="hit_1", resamples=RESAMPLES, seed=0)
    cells.append(f"{100 * gain.mean:+.0f} [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}]")
    return f"| {title} | {' | '.join(cells)} |"


def questions_table() -> str:
    """The study's answers, one line each."""
    answers = read_json(ANSWERS)
    lines = ["| | question | the paper | here | what was measured |", "|---|---|---|---|---|"]
    for one in answers:
        cells = [one["title"], one["claim"], f"**{one['verdict']}**", one["finding"]]
        lines.append(f"| {one['number']} | " + " | ".join(map(_escaped, cells)) + " |")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


BLOCKS = {"seeds": seeds_table, "questions": questions_table}


def render(text: str) -> str:
    """The README with every marked block written anew."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise click.ClickException(f"README.md needs one block {name!r}")
        before, _, rest = text.partition(begin)
        text = before + begin + block() + "\n" + end + rest.partition(end)[2]
    return text


@click.command()
@click.option("--check", is_flag=True, help="Only say whether README.md is current.")
def main(check: bool) -> None:
    """Write the README's figures from the committed results."""
    old = README.read_text(encoding="utf-8")
    new = render(old)
    if not check:
        write_atomic(README, new)
    elif new != old:
        click.echo("README.md is not what the results say: run python benchmarks/readme.py", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
