"""Print what an evaluation found, system by system.

python scripts/figures.py [results/evaluate/metrics.json]
"""

import json
import sys
from pathlib import Path

MEASURES = {"average_r1": "R@1", "average": "headline", "average_global": "headline, global pool"}


def table(metrics: dict[str, dict[str, float]]) -> str:
    """The means over pairs of each system, in percent."""
    widths = {measure: len(title) + 4 for measure, title in MEASURES.items()}
    lines = [
        f"{'mean over pairs, %':<20}" + "".join(f"{MEASURES[name]:>{widths[name]}}" for name in MEASURES)
    ]
    for system in sorted(metrics["average"]):
        cells = {name: metrics.get(name, {}).get(system) for name in MEASURES}
        shown = {name: "-" if cell is None else f"{100 * cell:.1f}" for name, cell in cells.items()}
        lines.append(f"{system:<20}" + "".join(f"{shown[name]:>{widths[name]}}" for name in MEASURES))
    return "\n".join(lines)


if __name__ == "__main__":
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "results/evaluate/metrics.json")
    print(table(json.loads(path.read_text(encoding="utf-8"))))
