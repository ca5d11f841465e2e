"""The figures of route control: recall against cost, and the gain of traces against P(`<|emb|>`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trace_retriever.evaluation.outcomes import AVERAGE
from trace_retriever.evaluation.plots import COLOURS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = {
    "never": ("v", "#59616b"),
    "auto": ("o", "#1f6feb"),
    "budget": ("*", "#d97706"),
    "oracle": ("s", "#1b7f3b"),
    "always": ("^", "#59616b"),
    "hindsight": ("D", "#8a63d2"),
}
HOLLOW = {"oracle", "hindsight"}  # drawn around the others, which they may equal
SPLIT_COLOURS = ("#9aa3ad", "#1f6feb")  # the split that chooses, the split that is scored
COLUMNS = 4


def mean_curve(curve: "pd.DataFrame", splits: Sequence[str], unit: str, limit: float | None) -> "Figure":
    """Mean over pairs: the curve of each split with its intervals, the systems of the last split marked.

    Args:
        curve: see `curve.route_curve`.
        splits: one or two, the one that is scored last.
        unit: of the cost.
        limit: the budget, drawn as a line.
    """
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes = drawing.subplots()
    mean = curve[curve["pair"] == AVERAGE]
    for split, colour in zip(splits, SPLIT_COLOURS[-len(splits) :], strict=True):
        line = mean[(mean["split"] == split) & (mean["point"] == "")]
        axes.fill_between(line["cost"], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(line["cost"], line["headline"], color=colour, label=f"threshold swept, {split}")
    _mark(axes, mean[mean["split"] == splits[-1]], size=70)
    ends = mean[(mean["split"] == splits[-1])].set_index("point").loc[["never", "auto"]]
    axes.plot(
        ends["cost"],
        ends["headline"],
        "--",
        color="#9aa3ad",
        linewidth=1,
        label="auto's traces dropped at random",
    )
    if limit is not None:
        axes.axvline(limit, color=MARKS["budget"][1], linewidth=1, linestyle=":", label="budget")
    axes.set_xlabel(f"{unit} a query, mean over pairs")
    axes.set_ylabel("headline hit@k, mean over pairs")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), labelspacing=0.9)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def pair_curves(curve: "pd.DataFrame", split: str, routes: dict[str, str], unit: str) -> "Figure":
    """The same for each pair by itself, on one split; the title's colour tells its true route."""
    from matplotlib.figure import Figure

    rows = -(-len(routes) // COLUMNS)
    drawing = Figure(figsize=(2.6 * COLUMNS, 2.1 * rows), layout="constrained")
    grid = drawing.subplots(rows, COLUMNS, sharey=True, squeeze=False).ravel()
    for axes, (pair, route) in zip(grid, routes.items(), strict=False):
        own = curve[(curve["pair"] == pair) & (curve["split"] == split)]
        line = own[own["point"] == ""]
        axes.fill_between(
            line["cost"], line["low"], line["high"], color=COLOURS[route], alpha=0.15, linewidth=0
        )
        axes.plot(line["cost"], line["headline"], color=COLOURS[route], linewidth=1.2)
        _mark(axes, own, size=24)
        axes.set_title(pair, fontsize=8, color=COLOURS[route], loc="left")
        axes.tick_params(labelsize=7)
        axes.set_ylim(-0.04, 1.04)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(routes) :]:
        axes.set_axis_off()
    handles, labels = drawing.axes[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper center", ncols=len(MARKS), fontsize=8, frameon=False)
    drawing.supxlabel(f"{unit} a query", fontsize=9)
    drawing.supylabel("headline hit@k", fontsize=9)
    return drawing


def _mark(axes: "Axes", rows: "pd.DataFrame", size: float) -> None:
    for name, (marker, colour) in MARKS.items():
        point = rows[rows["point"] == name]
        inner = "none" if name in HOLLOW else colour
        axes.scatter(
            point["cost"],
            point["headline"],
            marker=marker,
            facecolors=inner,
            edgecolors=colour,
            s=2.5 * size if name in HOLLOW else size,
            label=name,
            zorder=3,
        )


def gains(groups: dict[str, Any]) -> "Figure":
    """Mean gain by a trace in bins of P(`<|emb|>`), on a log-odds axis, for simple and for complex pairs."""
    from matplotlib.figure import Figure
    from scipy.special import logit

    drawing = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = drawing.subplots()
    for kind in ("complex", "simple"):
        bins = groups.get(f"{kind} pairs", {"bins": []})["bins"]
        places = logit(np.clip([one["median"] for one in bins], 1e-12, 1 - 1e-12))
        means = np.array([one["gain"]["mean"] for one in bins])
        ends = np.array([[one["gain"]["low"], one["gain"]["high"]] for one in bins]).reshape(-1, 2)
        axes.vlines(places, ends[:, 0], ends[:, 1], color=COLOURS[kind], linewidth=2)
        axes.plot(places, means, "o-", color=COLOURS[kind], linewidth=1, label=f"{kind} pairs")
    axes.axhline(0, color="#9aa3ad", linewidth=1, linestyle="--")
    ticks = np.array([1e-9, 1e-7, 1e-5, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-5])
    low, high = axes.get_xlim()
    shown = ticks[(logit(ticks) > low) & (logit(ticks) < high)]
    axes.set_xticks(logit(shown), [f"{tick:g}" for tick in shown])
    axes.set_xlabel("P(<|emb|>), median of the bin, log-odds scale")
    axes.set_ylabel("hit with trace minus without")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
