"""The report's drawings."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from trace_retriever.evaluation.significance import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#4c78a8", "#e45756", "#59616b"
COLOURS = (BLUE, RED, "#54a24b", "#b279a2", "#eeca3b", GREY)


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    axes = drawing.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return drawing, axes


def forest(lines: Mapping[str, Interval], label: str) -> "Figure":
    """Differences with their intervals, one line each, from top to bottom; in points."""
    drawing, axes = _figure(7.5, 0.9 + 0.3 * len(lines))
    for height, found in enumerate(reversed(list(lines.values()))):
        clear = found.low > 0 or found.high < 0
        colour = GREY if not clear else BLUE if found.mean > 0 else RED
        axes.plot([100 * found.low, 100 * found.high], [height, height], color=colour, linewidth=2)
        axes.plot(100 * found.mean, height, "o", color=colour)
    axes.axvline(0, color="#9aa3ad", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(lines)), list(reversed(list(lines))))
    axes.set_xlabel(label)
    return drawing


def bars(values: Mapping[str, Sequence[Interval]], groups: Sequence[str], label: str) -> "Figure":
    """Means with their intervals, some systems side by side in each group; in per cent."""
    drawing, axes = _figure(8.5, 3.4)
    width = 0.8 / max(len(values), 1)
    for number, (name, found) in enumerate(values.items()):
        places = np.arange(len(groups)) + (number + 0.5) * width - 0.4
        means = np.array([100 * one.mean for one in found])
        low = means - [100 * one.low for one in found]
        high = np.array([100 * one.high for one in found]) - means
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(places, means, width * 0.92, label=name, color=colour)
        axes.errorbar(places, means, yerr=np.clip([low, high], 0, None), fmt="none", ecolor="#333", lw=1)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylim(0, 104)
    axes.set_ylabel(label)
    axes.legend(ncols=len(values), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.16), frameon=False)
    return drawing


def curve(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    x_label: str,
    y_label: str,
    *,
    log: bool = False,
) -> "Figure":
    """Lines of points (x, y), named."""
    drawing, axes = _figure(7.0, 3.4)
    for number, (name, (x, y)) in enumerate(series.items()):
        axes.plot(x, y, "o-", label=name, color=COLOURS[number % len(COLOURS)], markersize=4)
    if log:
        axes.set_xscale("log", base=2)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(fontsize=8, frameon=False)
    return drawing
