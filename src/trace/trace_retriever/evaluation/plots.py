"""The report's figures, drawn from `results.json` and the per-query records."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"simple": "#4c78a8", "complex": "#e45756", "": "#59616b"}


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    return drawing, drawing.subplots()


def forest(differences: dict[str, Any], routes: dict[str, str], title: str) -> "Figure":
    """Paired differences with their intervals, one line a pair and the average below.

    Args:
        differences: `pairs[pair]` and `average`, each with mean, low and high.
        routes: pair → its true route, which gives the colour.
        title: what is subtracted from what.
    """
    lines = [*sorted(differences["pairs"].items(), key=lambda line: (routes[line[0]], line[0]))]
    lines.append(("average", differences["average"]))
    drawing, axes = _figure(7.5, 0.8 + 0.28 * len(lines))
    for height, (name, value) in enumerate(reversed(lines)):
        colour = COLOURS[routes.get(name, "")]
        axes.plot([value["low"], value["high"]], [height, height], color=colour, linewidth=2)
        axes.plot(value["mean"], height, "o" if name in routes else "D", color=colour)
    axes.axvline(0, color="#9aa3ad", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(lines)), [name for name, _ in reversed(lines)])
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("difference of the headline figure, 95 % interval (blue: simple pairs, red: complex)")
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def bars(headline: dict[str, dict[str, float]], pairs: Sequence[str]) -> "Figure":
    """Headline figure per pair, the systems side by side."""
    drawing, axes = _figure(10, 3.6)
    width = 0.8 / max(len(headline), 1)
    for number, (system, values) in enumerate(headline.items()):
        places = np.arange(len(pairs)) + number * width
        axes.bar(places, [values[pair] for pair in pairs], width, label=system)
    axes.set_xticks(np.arange(len(pairs)) + 0.4 - width / 2, list(pairs), rotation=30, ha="right", fontsize=8)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("headline hit@k")
    axes.legend(
        ncols=len(headline), fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.15), frameon=False
    )
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def router(rows: "pd.DataFrame") -> "Figure":
    """How sure the router is: P(`<|emb|>`) as first token, by true route where it is known."""
    drawing, axes = _figure(7.5, 2.8)
    edges = np.linspace(0, 1, 21).tolist()
    known = bool(rows["true_route"].notna().any())
    for route in ("simple", "complex") if known else ("",):
        values = rows.loc[rows["true_route"] == route, "p_emb"] if route else rows["p_emb"]
        axes.hist(
            values, bins=edges, color=COLOURS[route], alpha=0.6, label=f"truly {route}" if route else None
        )
    axes.set_yscale("symlog")
    axes.set_xlabel("probability of <|emb|> as the first token")
    axes.set_ylabel("queries")
    if known:
        axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return drawing


def reliability(rows: "pd.DataFrame", bins: int = 10) -> "Figure":
    """Whether P(`<|emb|>`) means what it says: the share of truly simple queries in each bin of it."""
    drawing, axes = _figure(4.5, 3.6)
    simple = (rows["true_route"] == "simple").to_numpy(dtype=float)
    chosen = np.minimum((rows["p_emb"].to_numpy() * bins).astype(int), bins - 1)
    for number in sorted(set(chosen.tolist())):
        inside = chosen == number
        size = 20 + 80 * float(np.sqrt(inside.mean()))
        axes.scatter(
            rows["p_emb"].to_numpy()[inside].mean(), simple[inside].mean(), s=size, color=COLOURS["simple"]
        )
    axes.plot([0, 1], [0, 1], color="#9aa3ad", linewidth=1, linestyle="--")
    axes.set_xlabel("probability of <|emb|>")
    axes.set_ylabel("share truly simple")
    axes.spines[["top", "right"]].set_visible(False)
    return drawing
