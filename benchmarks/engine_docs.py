"""Write what the engine costs into docs/engine.md, from the committed results; nothing is typed by hand.

python benchmarks/engine_docs.py            writes docs/engine.md and docs/engine.svg
python benchmarks/engine_docs.py --check    exits with 1 when docs/engine.md is not what the results say
"""

import sys
from pathlib import Path
from typing import Any

import click

from trace_retriever.io.files import read_json, write_atomic

RESULTS = Path("benchmarks/results/engine.json")
PAGE = Path("docs/engine.md")
PLOT = Path("docs/engine.svg")
BEGIN, END = "<!-- costs: begin -->", "<!-- costs: end -->"
NAMES = {
    "slots_32": "ours, 32 slots",
    "slots_64": "ours, 64 slots",
    "slots_128": "ours, 128 slots",
    "generate_then_reencode_32": "generate, then encode again; batches of 32",
    "static_batch_32": "static batches of 32, all states kept",
    "static_batch_4": "static batches of 4, all states kept (UME-R1)",
    "one_by_one": "one by one, all states kept (RGE)",
}
MIXES = {"natural": "as drawn", "half": "about half", "complex": "all"}
SCALES = {
    "slots": ("slots (complex queries)", "queries/s"),
    "batch_tokens": ("tokens of a batch of prompts", "direct queries/s"),
    "trace_limit": ("tokens a trace may have", "reasoned queries/s"),
    "complex_share": ("share of complex queries", "queries/s"),
    "candidates": ("candidates encoded", "candidates/s"),
}


def costs(found: dict[str, Any]) -> str:
    """The section's text."""
    sections = found["sections"]
    machine = sections["peers"]["measured"]["machine"]
    parts = [
        f"`{found['command']}` on {machine['cpu']}, {machine['threads']} thread; commit "
        f"`{sections['peers']['measured']['commit'][:12]}`. Medians of interleaved repeats; every system "
        "goes from items to vectors, with equal vectors (largest difference "
        f"{_largest(sections['peers']):.1e}). Ratios are to the engine with 64 slots.",
        *(_mix(name, sections["peers"][name]) for name in MIXES),
        _modes(sections["modes"]),
        _direct(sections["direct"]),
        _targets(sections["targets"]["rows"]),
        f"![How it scales]({PLOT.name})",
    ]
    return "\n\n".join(parts)


def _largest(peers: dict[str, Any]) -> float:
    return max(float(one["largest_difference"]) for name in MIXES for one in peers[name]["systems"].values())


def _mix(name: str, mix: dict[str, Any]) -> str:
    systems = mix["systems"]
    own = systems["slots_64"]["seconds"]
    rows = [
        f"**Complex queries: {MIXES[name]}** ({mix['complex']} of {mix['queries']}; traces hold "
        f"{mix['trace_tokens']:,} tokens)",
        "",
        "| loop | queries/s | times slower | row-steps / needed | prompt slots / tokens | kept states, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for key, title in NAMES.items():
        one, cost = systems[key], systems[key]["cost"]
        steps = cost["decode_row_steps"] / max(cost["needed_row_steps"], 1)
        slots = cost["prefill_slots"] / max(cost["prefill_tokens"], 1)
        rows.append(
            f"| {title} | {one['queries_per_second']:.0f} | {one['seconds'] / own:.1f} | {steps:.2f} "
            f"| {slots:.2f} | {cost.get('state_bytes', 0) / 1e6:.1f} |"
        )
    return "\n".join(rows)


def _modes(section: dict[str, Any]) -> str:
    rows = [
        f"**Modes** ({section['queries']} test queries, recall in local pools, mean over pairs)",
        "",
        "| mode | queries/s | R@1 | R@5 | trace tokens a query |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in section["modes"].items():
        rows.append(
            f"| {name} | {one['queries_per_second']:.0f} | {100 * one['recall_1']:.1f} "
            f"| {100 * one['recall_5']:.1f} | {one['tokens_per_query']:.1f} |"
        )
    cost = section["route_cost"]
    rows += [
        "",
        f"A direct query takes {cost['direct_ms']:.2f} ms, a trace token {cost['trace_token_ms']:.3f} ms.",
    ]
    return "\n".join(rows)


def _direct(section: dict[str, Any]) -> str:
    systems = section["systems"]
    return (
        f"**Simple queries alone** ({section['queries']}): "
        f"{systems['auto']['queries_per_second']:.0f} a second with routes, "
        f"{section['auto_over_never']:.2f} x the time of the engine without, "
        f"{section['auto_over_plain']:.2f} x that of plain forwards in sorted batches of 32; VLM2Vec's loop "
        f"(dataset order, `lm_head` over all positions) takes "
        f"{systems['vlm2vec_32']['seconds'] / systems['auto']['seconds']:.1f} x. "
        f"{section['decode_steps']} decoding steps."
    )


def _targets(rows: dict[str, Any]) -> str:
    lines = ["| held to | measured | bound | holds |", "|---|---:|---:|---|"]
    lines += [
        f"| {name} | {row['value']:.3g} | {row['bound']:g} | {'yes' if row['holds'] else '**no**'} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw how throughput goes with each quantity, repeats' extent as bars."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "engine", "svg.fonttype": "none"}):
        drawing = Figure(figsize=(11, 6), layout="constrained")
        for axes, (group, (xlabel, ylabel)) in zip(drawing.subplots(2, 3).flat, SCALES.items(), strict=False):
            scale = found["sections"]["scaling"][group]
            points = sorted(((float(name), one) for name, one in scale.items()), key=lambda point: point[0])
            speed = [one["per_second"] for _, one in points]
            work = [one["per_second"] * one["seconds"] for _, one in points]
            low = [
                value - count / one["max"] for value, count, (_, one) in zip(speed, work, points, strict=True)
            ]
            high = [
                count / one["min"] - value for value, count, (_, one) in zip(speed, work, points, strict=True)
            ]
            axes.errorbar(
                [x for x, _ in points], speed, yerr=[low, high], marker="o", capsize=3, color="#4c78a8"
            )
            if group != "complex_share":
                axes.set_xscale("log", base=2)
            axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
            axes.grid(visible=True, alpha=0.3)
        drawing.axes[-1].set_visible(False)
        drawing.savefig(path, metadata={"Date": None})


def page(text: str, section: str) -> str:
    """The page with the section between its markers, which are put at the end if they are not there."""
    head, begin, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not begin:
        head = f"{text.rstrip()}\n\n## What it costs\n\n"
    return f"{head}{BEGIN}\n{section}\n{END}{tail or chr(10)}"


@click.command()
@click.option("--check", is_flag=True, help="Compare, write nothing.")
def main(check: bool) -> None:
    """Write the page and the plot, or compare."""
    found = read_json(RESULTS)
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text, costs(found))
    if check:
        sys.exit(
            0 if wanted == text else f"{PAGE} is not what {RESULTS} says: python benchmarks/engine_docs.py"
        )
    write_atomic(PAGE, wanted)
    draw(found, PLOT)


if __name__ == "__main__":
    main()
