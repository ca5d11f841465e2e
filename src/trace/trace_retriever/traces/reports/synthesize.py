"""What step `synthesize` reports: how many traces, how long, which failed, and some to read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from trace_retriever.io.html import Section, join, note, page, paragraph, table
from trace_retriever.traces.ask import Answers, count_reasons
from trace_retriever.traces.examples import Example
from trace_retriever.traces.reports.shown import shown, shown_query
from trace_retriever.traces.teachers.base import Written
from trace_retriever.traces.words import token_count

EXAMPLES_PER_PAIR = 2


def synthesize_metrics(
    teacher: str, examples: Sequence[Example], written: Answers[Written], blind: Answers[Written]
) -> dict[str, Any]:
    """Counts in all and by pair, reasons of failures, lengths (words and punctuation marks)."""
    pairs: dict[str, dict[str, int]] = {}
    for example in examples:
        counts = pairs.setdefault(example.pair.name, {"queries": 0, "written": 0})
        counts["queries"] += 1
        counts["written"] += example.qid in written.given
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
        "tokens": {part: _lengths(written, part) for part in ("reasoning", "answer")},
        "splits": {
            split: sum(example.split == split for example in examples)
            for split in dict.fromkeys(example.split for example in examples)
        },
        "pairs": dict(sorted(pairs.items())),
    }


def _lengths(written: Answers[Written], part: str) -> dict[str, float]:
    lengths = [token_count(getattr(answer, part)) for answer in written.given.values()]
    if not lengths:
        return {}
    low, middle, high = np.percentile(lengths, (5, 50, 95)).tolist()
    return {"p5": low, "median": middle, "p95": high, "max": float(max(lengths))}


def synthesize_page(
    metrics: dict[str, Any],
    examples: Sequence[Example],
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


def _rows(examples: Sequence[Example], written: Answers[Written], blind: Answers[Written]) -> pd.DataFrame:
    shown_so_far: dict[str, int] = {}
    rows = []
    for example in sorted(examples, key=lambda example: example.qid not in blind.given):
        name = example.pair.name
        if example.qid not in written.given or shown_so_far.get(name, 0) >= EXAMPLES_PER_PAIR:
            continue
        shown_so_far[name] = shown_so_far.get(name, 0) + 1
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
