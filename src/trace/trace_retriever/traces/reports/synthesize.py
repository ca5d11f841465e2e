"""What step `synthesize` reports: how many traces, how long, which failed, and some to read."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from trace_retriever.io.html import Section, join, note, page, paragraph, table
from trace_retriever.traces.answers import Answers
from trace_retriever.traces.ask import count_reasons
from trace_retriever.traces.examples import Examples
from trace_retriever.traces.lazy import Ints
from trace_retriever.traces.reports.shown import shown, shown_query
from trace_retriever.traces.teachers.base import Written
from trace_retriever.traces.words import token_count

EXAMPLES_PER_PAIR = 2


def synthesize_metrics(
    teacher: str, examples: Examples, written: Answers[Written], blind: Answers[Written]
) -> dict[str, Any]:
    """Counts in all and by pair, reasons of failures, lengths (words and punctuation marks)."""
    pairs: dict[str, dict[str, int]] = {}
    answered = np.isin(examples.numbers, written.numbers())
    for (pair, _), has in zip(examples.homes(), answered.tolist(), strict=True):
        counts = pairs.setdefault(pair.name, {"queries": 0, "written": 0})
        counts["queries"] += 1
        counts["written"] += has
    return {
        "teacher": teacher,
        "queries": len(examples),
        "written": len(written.given),
        "failed": len(written.failures),
        "failed_share": len(written.failures) / len(examples) if examples else 0.0,
        "failures": count_reasons(written.failures),
        "blind": {
            "queries": len(blind.given) + len(blind.failures),
            "written": len(blind.given),
            "failures": count_reasons(blind.failures),
        },
        "tokens": _lengths(written),
        "splits": dict(Counter(split for _, split in examples.homes())),
        "pairs": dict(sorted(pairs.items())),
    }


def _lengths(written: Answers[Written]) -> dict[str, dict[str, float]]:
    counts = ((token_count(one.reasoning), token_count(one.answer)) for _, one in written.pairs())
    table = np.array(list(counts), dtype=np.int64).reshape(-1, 2)
    return {part: _summary(table[:, place]) for place, part in enumerate(("reasoning", "answer"))}


def _summary(lengths: Ints) -> dict[str, float]:
    if not len(lengths):
        return {}
    low, middle, high = np.percentile(lengths, (5, 50, 95)).tolist()
    return {"p5": low, "median": middle, "p95": high, "max": float(lengths.max())}


def synthesize_page(
    metrics: dict[str, Any],
    examples: Examples,
    written: Answers[Written],
    blind: Answers[Written],
) -> str:
    """The report as HTML."""
    text = (
        f"Teacher “{metrics['teacher']}” wrote {metrics['written']:,} traces for {metrics['queries']:,} "
        f"complex queries; {metrics['failed']:,} failed. Without sight of the target it wrote "
        f"{metrics['blind']['written']:,} more, for the measure of leakage."
    )
    notes = [note(f"{count:,} failed: {reason}.") for reason, count in metrics["failures"].items()]
    pairs = pd.DataFrame.from_dict(metrics["pairs"], orient="index")
    lengths = pd.DataFrame.from_dict(metrics["tokens"], orient="index")
    sections = [
        Section("Traces", join(paragraph(text), *notes, table(pairs))),
        Section("Lengths", join(paragraph("In words and punctuation marks."), table(lengths, ".0f"))),
        Section("Some to read", table(_rows(examples, written, blind))),
    ]
    return page("Traces written by a teacher", sections)


def _some(examples: Examples, written: Answers[Written], blind: Answers[Written]) -> list[int]:
    """The first of each pair that have a trace, those with a blind one before the others."""
    pairs = [pair.name for pair, _ in examples.homes()]
    answered = np.isin(examples.numbers, written.numbers())
    seeing_only = ~np.isin(examples.numbers, blind.numbers())
    shown_so_far: Counter[str] = Counter()
    chosen = []
    for place in np.argsort(seeing_only, kind="stable").tolist():
        if answered[place] and shown_so_far[pairs[place]] < EXAMPLES_PER_PAIR:
            shown_so_far[pairs[place]] += 1
            chosen.append(place)
    return chosen


def _rows(examples: Examples, written: Answers[Written], blind: Answers[Written]) -> pd.DataFrame:
    rows = []
    for place in _some(examples, written, blind):
        example = examples[place]
        trace, other = written.given[example.qid], blind.given.get(example.qid)
        rows.append(
            {
                "query": shown_query(example),
                "target": shown(example.target),
                "reasoning": trace.reasoning,
                "answer": trace.answer,
                "blind answer": other.answer if other else None,
            }
        )
    return pd.DataFrame(rows, columns=["query", "target", "reasoning", "answer", "blind answer"])
