"""The gate's page: the verdict large, every check, and the differences from the champion as a forest plot."""

from typing import TYPE_CHECKING, Any

import pandas as pd
from markupsafe import Markup

from trace_retriever.gates.comparison import NAME
from trace_retriever.gates.verdict import Check, Verdict
from trace_retriever.io.html import Section, figure, page, table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREEN, RED, GREY = "#1b7f3b", "#b3261e", "#6b6b6b"


def gate_page(verdict: Verdict) -> str:
    """One HTML page that loads nothing from elsewhere; the same verdict gives the same bytes."""
    sections = [Section("Verdict", _verdict(verdict)), Section("Headline figures", _floors(verdict))]
    if compared := [check for check in verdict.checks if check.name == NAME and check.value is not None]:
        caption = "This model minus the champion, 95 % intervals; the bar is the margin it may be worse by."
        sections.append(Section("Against the champion", figure(forest_plot(compared), caption)))
    if compared := [
        check for check in verdict.checks if check.name == "beats baseline" and check.value is not None
    ]:
        caption = "This model minus the baseline on complex pairs, 95 % intervals."
        sections.append(Section("Against the baseline", figure(forest_plot(compared), caption)))
    sections.append(Section("All checks", table(_frame(verdict), index=False)))
    return page("Gate", sections)


def _verdict(verdict: Verdict) -> Markup:
    word, colour = ("PASSED", GREEN) if verdict.passed else ("REFUSED", RED)
    big = Markup('<p style="font-size:3rem;font-weight:700;margin:0;color:{}">{}</p>').format(colour, word)
    applied = [check for check in verdict.checks if check.passed is not None]
    counts = Markup(
        "<p>{} of {} checks passed; {} do not apply. Judged: system {} on {} pools, average {}.</p>"
    ).format(
        len(applied) - len(verdict.failed),
        len(applied),
        len(verdict.checks) - len(applied),
        verdict.policy["system"],
        verdict.policy["pool"],
        f"{verdict.headline['average']:.3f}",
    )
    items = Markup("").join(
        Markup("<li><b>{}</b>, {}: {}</li>").format(check.name, check.scope, check.why)
        for check in verdict.failed
    )
    digests = Markup("<p>Evaluation <code>{}</code><br>Champion <code>{}</code></p>").format(
        verdict.evaluation, verdict.champion or "none"
    )
    return big + counts + Markup("<ul>{}</ul>").format(items) + digests


def _floors(verdict: Verdict) -> Markup:
    checks = [check for check in verdict.checks if check.name == "floor" and check.value is not None]
    caption = "Headline hit rate with its 95 % interval; the bar is the floor."
    return figure(forest_plot(checks, zero=False), caption)


def forest_plot(checks: list[Check], *, zero: bool = True) -> "Figure":
    """Values with their intervals, one a line, green when passed, each with its threshold as a vertical bar.

    Args:
        checks: with values.
        zero: whether a line at 0 says "equal".
    """
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.0, 0.8 + 0.3 * len(checks)))
    axes = drawing.add_subplot()
    if zero:
        axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":")
    for place, check in enumerate(checks):
        colour = GREEN if check.passed else RED
        if check.interval is not None:
            axes.plot(check.interval, (place, place), color=colour, linewidth=2)
        if check.value is not None:
            axes.plot([check.value], [place], "o", color=colour, markersize=5)
        if check.threshold is not None:
            axes.plot([check.threshold], [place], "|", color="black", markersize=12)
    axes.set_yticks(range(len(checks)), [check.scope for check in checks])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("difference of headline figures" if zero else "headline figure")
    return drawing


def _frame(verdict: Verdict) -> pd.DataFrame:
    return pd.DataFrame([_row(check) for check in verdict.checks])


def _row(check: Check) -> dict[str, Any]:
    word, colour = {True: ("passed", GREEN), False: ("FAILED", RED), None: ("n/a", GREY)}[check.passed]
    interval = None if check.interval is None else " to ".join(f"{end:.3f}" for end in check.interval)
    return {
        "check": check.name,
        "scope": check.scope,
        "": Markup('<b style="color:{}">{}</b>').format(colour, word),
        "value": check.value,
        "95 % interval": interval,
        "threshold": check.threshold,
        "champion": check.champion,
        "p": check.p_value,
        "why": check.why,
    }
