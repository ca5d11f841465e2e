"""Readings of M-BEIR's table and of the averages of other models."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from trace_retriever.replay.readings import Reading, Verdict, points
from trace_retriever.replay.recall import Versus, versus, wrong_means
from trace_retriever.replay.tables import OWN, figure, read_recall, read_table

SHARED = (
    "Queries are shared, which makes the true error smaller; seeds are not published, which makes it larger."
)


def means_add_up(folder: Path) -> Reading:
    """Whether the published averages are those of the published figures."""
    recall = read_recall(folder)
    wrong = wrong_means(recall)
    return Reading(
        key="means",
        claim="Each model's average is the plain mean of its 16 figures.",
        data=f"M-BEIR local, {len(recall)} models",
        reading=f"Means differ by more than rounding for: {', '.join(wrong)}."
        if wrong
        else "All means are those of their rows, within rounding.",
        verdict="not supported" if wrong else "supported",
    )


def best_average(folder: Path) -> Reading:
    """Whether no other model has a higher average."""
    means = _averages(folder)
    above = sorted((mean, name) for name, mean in means.items() if mean > means[OWN])
    names = ", ".join(f"{name} {mean}" for mean, name in reversed(above))
    return Reading(
        key="state-of-the-art",
        claim="TRACE has the highest average on M-BEIR (local pools).",
        data=f"TRACE {means[OWN]}; above it: {names or 'none'}",
        reading="Published models are ahead; U-MARVEL's single model is, and it writes no trace."
        if names
        else "No model in the table is ahead.",
        verdict="not supported" if names else "supported",
    )


def beats_lamra(folder: Path) -> Reading:
    """Whether TRACE is ahead of LamRA-Ret as published."""
    found = versus(read_recall(folder), OWN, "LamRA-Ret")
    return Reading(
        key="lamra",
        claim="The published TRACE finds more than the published LamRA-Ret.",
        data=_counted(found),
        reading=f"The mean is beyond what the test sets' size gives. {SHARED} The backbones differ.",
        verdict=_mean_verdict(found),
    )


def beats_elva(folder: Path) -> Reading:
    """Whether TRACE is ahead of ELVA."""
    found = versus(read_recall(folder), OWN, "ELVA")
    return Reading(
        key="elva",
        claim="TRACE finds more than ELVA, which also writes before it encodes.",
        data=_counted(found),
        reading="As a mean over pairs they are the same, within what the test sets' size gives: TRACE is "
        "ahead on most pairs with traces and behind on most others.",
        verdict=_mean_verdict(found),
    )


def same_backbone(folder: Path) -> Reading:
    """Whether the method is ahead where the backbones are alike."""
    rows = read_table(folder, "averages").pivot(index="backbone", columns="model", values="average")
    gaps = {
        size: figure(rows, size, OWN) - figure(rows, size, "LamRA-Ret")
        for size in ("Qwen2-VL-2B", "Qwen2-VL-7B")
    }
    return Reading(
        key="same-backbone",
        claim="The gain over LamRA-Ret is the method's, not the backbone's.",
        data=", ".join(f"{size}: TRACE {gap:+.1f}" for size, gap in gaps.items()),
        reading="On the backbones that LamRA-Ret has, TRACE is behind it at both sizes; only with a newer "
        "one is it ahead. What the newer one would do for LamRA-Ret is not published.",
        verdict="supported" if min(gaps.values()) > 0 else "not supported",
    )


def gain_where_it_reasons(folder: Path) -> Reading:
    """Whether the gain over LamRA-Ret is larger on the pairs that reason (exact rank test over pairs)."""
    from scipy.stats import mannwhitneyu

    found = versus(read_recall(folder), OWN, "LamRA-Ret")
    reasoned, direct = found.gains(reasons=True), found.gains(reasons=False)
    p_value = float(mannwhitneyu(reasoned, direct, alternative="two-sided", method="exact").pvalue)
    means = [points(sum(gains) / len(gains)) for gains in (reasoned, direct)]
    return Reading(
        key="gain-where-it-reasons",
        claim="TRACE gains most over LamRA-Ret on the pairs whose queries get traces.",
        data=f"mean gain {means[0]} on {len(reasoned)} pairs with traces, {means[1]} on {len(direct)} "
        f"without; rank test over pairs p = {p_value:.2g}",
        reading="The gains are ordered as the claim says. It is not evidence for the traces alone: these "
        "pairs are also those of picture and words, which a newer backbone may read better.",
        verdict="supported" if p_value < 0.05 and sum(reasoned) > 0 else "cannot tell",
    )


def zero_shot(_: Path) -> Reading:
    """The sign test over the columns of the table of unseen data sets."""
    from scipy.stats import binomtest

    p_value = float(binomtest(11, 13).pvalue)
    return Reading(
        key="zero-shot",
        claim="On unseen data sets TRACE is ahead of LamRA-Ret.",
        data=f"ahead in 11 of 13 columns; sign test p = {p_value:.2g}",
        reading="More columns than chance gives, but they are of 10 data sets, not independent, and again of "
        "different backbones.",
        verdict="supported" if p_value < 0.05 else "cannot tell",
    )


def _averages(folder: Path) -> dict[str, float]:
    """Model → the highest mean over the 16 pairs that is published of it, in percent."""
    tables = [read_table(folder, name)[["model", "average"]] for name in ("mbeir_local", "averages")]
    best = pd.concat(tables, ignore_index=True).groupby("model")["average"].max()
    return {str(name): float(mean) for name, mean in best.items()}


def _counted(found: Versus) -> str:
    mean = found.mean
    return (
        f"mean over 16 pairs {points(mean.value)} (standard error {100 * mean.error:.2f}); "
        f"ahead on {len(found.wins)}, behind on {len(found.losses)}; "
        f"clear after Holm's correction: {len(found.clear)} ({', '.join(found.clear) or 'none'})"
    )


def _mean_verdict(found: Versus) -> Verdict:
    mean = found.mean
    if abs(mean.value) <= 1.96 * mean.error:
        return "cannot tell"
    return "supported" if mean.value > 0 else "not supported"


READINGS: tuple[Callable[[Path], Reading], ...] = (
    means_add_up,
    best_average,
    beats_lamra,
    beats_elva,
    same_backbone,
    gain_where_it_reasons,
    zero_shot,
)
