"""Training curves as the page draws them: this model's line and the champion's, on one scale."""

import math
from dataclasses import dataclass

from trace_retriever.cards.curves import Curve
from trace_retriever.review.dossier import Dossier

# Shown at once, in this order; the others are a click away. `val_` is of the val split, during training.
FIRST = ("loss", "val_hit", "val_mrr", "val_routing")
WIDTH, HEIGHT, MOST = 200.0, 60.0, 300


@dataclass(frozen=True)
class Line:
    """One model's curve.

    Attributes:
        points: of an SVG polyline, in a box of `WIDTH` by `HEIGHT`.
        last: the figure at the last update where it is finite.
        lost: how many values are not finite.
    """

    points: str
    last: float
    lost: int


@dataclass(frozen=True)
class Plot:
    """A figure under both models.

    Attributes:
        low, high: ends of the scale upwards.
        end: the last update of either: the end of the scale to the right.
        champion: None where the champion has no such curve.
    """

    name: str
    low: float
    high: float
    end: int
    own: Line
    champion: Line | None


def plots(own: Dossier, other: Dossier | None) -> tuple[list[Plot], list[Plot]]:
    """The plots of a version's curves: those to be shown at once, and the rest; both empty without curves."""
    found = {}
    for name, curve in own.curves.items():
        plot = _plot(curve, other.curves.get(name) if other is not None else None)
        if plot is not None:
            found[name] = plot
    first = [found.pop(name) for name in FIRST if name in found]
    return first, [found[name] for name in sorted(found)]


def _plot(own: Curve, other: Curve | None) -> Plot | None:
    """None where there is no finite point to be drawn."""
    both = [curve for curve in (own, other) if curve is not None and _finite(curve)]
    if own not in both:
        return None
    values = [value for curve in both for _, value in _finite(curve)]
    low, high = min(values), max(values)
    end = max(step for curve in both for step, _ in _finite(curve))
    lines = [_line(curve, low, high, end) for curve in both]
    return Plot(own.name, low, high, end, lines[0], lines[1] if len(lines) > 1 else None)


def _finite(curve: Curve) -> list[tuple[int, float]]:
    pairs = zip(curve.steps, curve.values, strict=True)
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def _line(curve: Curve, low: float, high: float, end: int) -> Line:
    points = _finite(curve)
    every = max(1, -(-len(points) // MOST))
    shown = [*points[:-1:every], points[-1]]
    height = HEIGHT / (high - low) if high > low else 0.0
    drawn = [
        (WIDTH * step / max(end, 1), HEIGHT - (value - low) * height if height else HEIGHT / 2)
        for step, value in shown
    ]
    if len(drawn) == 1:  # a line of no length is not seen
        drawn = [(max(0.0, drawn[0][0] - 2.0), drawn[0][1]), *drawn]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
    return Line(text, points[-1][1], len(curve.values) - len(points))
