"""The report's part on the router: whether a low P(`<|emb|>`) predicts that a trace helps."""

from typing import Any

from markupsafe import Markup

from trace_retriever.evaluation import route_plots
from trace_retriever.io.html import figure, join, note, paragraph, table

BINARY = 0.2  # share of queries in between, below which routes are called almost binary
LOWER_IS_BETTER = "the lower P, the better a trace does"
ABOUT_GAINS = (
    "Gain of a query: its headline hit with its trace minus without. Rank correlation: Spearman's, of "
    "1 - P(<|emb|>) with the gain. AUC: how often a query that its trace helps has a lower P than one that "
    "it does not help (0.5: P says nothing). 95 % intervals over queries; a dash where too few gains differ."
)


def router(found: dict[str, Any] | None) -> Markup:
    """Whether a low P(`<|emb|>`) predicts that a trace helps, in words, as a plot and as a table.

    Args:
        found: see `reliability.reliability`; None where it could not be told.
    """
    import pandas as pd

    if found is None:
        return paragraph("Not every query was embedded both with and without its trace.")
    rows = [
        {
            "queries of": name,
            "queries": group["queries"],
            "helped": group["helped"],
            "harmed": group["harmed"],
            "mean gain": _text(group["gain"], "+"),
            "rank correlation": _text(group["rank_correlation"], "+"),
            "AUC": _text(group["auc"]),
        }
        for name, group in found["groups"].items()
    ]
    return join(
        note(ABOUT_GAINS),
        *(paragraph(line) for line in findings(found)),
        figure(
            route_plots.gains(found["groups"]), "What a trace changes, in bins of about equally many queries"
        ),
        table(pd.DataFrame(rows), caption="Does a low P(<|emb|>) predict that a trace helps?"),
    )


def findings(found: dict[str, Any]) -> list[str]:
    """What the figures of `reliability.reliability` say, in sentences."""
    groups, between, truth = found["groups"], found["between"]["0.01"], found["truth"]
    lines = [f"{between:.1%} of the queries have a P between 0.01 and 0.99."]
    if between < BINARY:
        lines[0] += " Routes are almost binary: a threshold orders queries by very small probabilities."
    if truth is not None:
        lines.append(
            f"The model's own route is the true one for {truth['accuracy']:.1%} of the queries; Brier score "
            f"of P as the probability of a simple query: {truth['brier']:.4f}."
        )
    for kind in ("simple pairs", "complex pairs"):
        if (group := groups.get(kind)) is not None:
            gain = _text(group["gain"], "+")
            lines.append(
                f"Among {kind} a trace changes the headline by {gain}; {_verdict(group)}{_rank(group)}."
            )
    ordered = [
        f"{name}{_rank(group)}"
        for name, group in groups.items()
        if not name.endswith(" pairs") and _verdict(group) == LOWER_IS_BETTER
    ]
    lines.append(f"Pairs within which {LOWER_IS_BETTER}: {', '.join(ordered) or 'none'}.")
    return lines


def _rank(group: dict[str, Any]) -> str:
    found = group["rank_correlation"]
    return "" if found is None else f" (rank correlation {found['mean']:+.2f})"


def _verdict(group: dict[str, Any]) -> str:
    found = group["rank_correlation"]
    if found is None:
        return "too few gains differ to say whether P orders them"
    if found["low"] > 0:
        return LOWER_IS_BETTER
    return "the lower P, the worse a trace does" if found["high"] < 0 else "P does not order the gains"


def _text(value: dict[str, float] | None, sign: str = "") -> str | None:
    if value is None:
        return None
    return "{:{s}.3f} [{:{s}.3f}, {:{s}.3f}]".format(value["mean"], value["low"], value["high"], s=sign)
