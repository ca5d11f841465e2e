"""What step `filter` reports: counts of each rule, confidences, leakage, and mistakes where truth tells."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trace_retriever.config.filter import FilterConfig
from trace_retriever.io.html import Section, figure, join, note, page, paragraph, table
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.records import Trace, Truth
from trace_retriever.traces.cases import Cases, names_of
from trace_retriever.traces.leakage import leakage
from trace_retriever.traces.reports.shown import shown, shown_query
from trace_retriever.traces.rules import Case, Dropped
from trace_retriever.traces.verify import Checked

EXAMPLES_PER_RULE = 3


@dataclass(frozen=True)
class Outcome:
    """What the filter did: `kept` and `dropped` together are `cases`.

    Attributes:
        broken: coarse rule → how many traces break it, first or not.
        checked: what the verifier said; None without one.
    """

    cases: Cases
    kept: Cases
    dropped: list[Dropped]
    broken: dict[str, int]
    checked: Checked | None

    def kept_traces(self) -> Iterator[Trace]:
        """The kept traces with their confidence."""
        verdicts = self.checked.verdicts if self.checked else {}
        for trace in self.kept.read_traces():
            verdict = verdicts.get(trace.qid)
            yield trace.model_copy(update={"confidence": verdict.confidence}) if verdict else trace

    def dropped_in_order(self) -> list[Dropped]:
        """The dropped traces by query id."""
        return sorted(self.dropped, key=lambda drop: query_number(drop.qid))


def filter_metrics(
    config: FilterConfig,
    layout: Layout,
    outcome: Outcome,
    sighted: Mapping[str, Trace],
    blind: Mapping[str, Trace],
) -> dict[str, Any]:
    """Counts per rule and pair, leakage, and precision and recall against the truth where there is one."""
    rules = Counter(f"{drop.stage}.{drop.rule}" for drop in outcome.dropped)
    total = len(outcome.cases)
    blinded = np.isin(outcome.cases.numbers, [query_number(qid) for qid in blind])
    both = outcome.cases.take(np.flatnonzero(blinded))
    targets = {case.trace.qid: case.target for case in both if case.target}
    metrics: dict[str, Any] = {
        "verifier": config.fine.verifier,
        "traces": total,
        "kept": len(outcome.kept),
        "dropped": len(outcome.dropped),
        "kept_share": len(outcome.kept) / total if total else 0.0,
        "dropped_by": dict(sorted(rules.items())),
        "coarse_rules_broken": outcome.broken,
        "pairs": _by_pair(outcome),
        "leakage": leakage(sighted, blind, targets, config.leakage, config.seed),
    }
    if (against := _against_truth(layout, outcome)) is not None:
        metrics["against_truth"] = against
    return metrics


def _by_pair(outcome: Outcome) -> dict[str, dict[str, int]]:
    traces, kept = (
        Counter(pair.name for pair, _ in cases.examples.homes()) for cases in (outcome.cases, outcome.kept)
    )
    return {pair: {"traces": count, "kept": kept[pair]} for pair, count in sorted(traces.items())}


def _against_truth(layout: Layout, outcome: Outcome) -> dict[str, Any] | None:
    """How well dropping finds wrong traces: those of the scene teacher that differ from the truth."""
    truths: dict[str, Truth] = {}
    for split in dict.fromkeys(split for _, split in outcome.cases.examples.homes()):
        if (truth := layout.truth(split)) is None:
            return None
        truths |= truth
    traces = [
        trace for trace in outcome.cases.read_traces() if trace.teacher == "scene" and trace.qid in truths
    ]
    if not traces:
        return None
    wrong = {trace.qid for trace in traces if trace.text.split() != truths[trace.qid].text.split()}
    answers = {trace.qid for trace in traces if trace.answer.split() != truths[trace.qid].answer.split()}
    dropped = {drop.qid for drop in outcome.dropped} & {trace.qid for trace in traces}
    return {
        "traces": len(traces),
        "wrong": len(wrong),
        "dropped": len(dropped),
        "wrong_and_dropped": len(wrong & dropped),
        "precision": _share(wrong & dropped, dropped),
        "recall": _share(wrong & dropped, wrong),
        "recall_of_wrong_answers": _share(answers & dropped, answers),
        "wrong_share_before": len(wrong) / len(traces),
        "wrong_share_after": len(wrong - dropped) / max(1, len(traces) - len(dropped)),
    }


def _share(part: set[str], whole: set[str]) -> float | None:
    return len(part) / len(whole) if whole else None


def filter_page(metrics: dict[str, Any], outcome: Outcome, blind: Mapping[str, Trace]) -> str:
    """The report as HTML."""
    sections = [_summary(metrics), *_confidences(outcome), *_truth(metrics), _leakage(metrics)]
    if outcome.dropped:
        sections.append(Section("Dropped, to read", table(_dropped_rows(outcome))))
    if len(outcome.kept):
        sections.append(Section("Kept, to read", table(_kept_rows(outcome, blind))))
    return page("Traces kept for training", sections)


def _summary(metrics: dict[str, Any]) -> Section:
    text = (
        f"{metrics['kept']:,} of {metrics['traces']:,} traces ({metrics['kept_share']:.1%}) are kept; "
        f"verifier “{metrics['verifier']}”. Each dropped trace counts once, under the first rule it broke."
    )
    rules = pd.DataFrame(
        {"dropped": metrics["dropped_by"].values()}, index=pd.Index(list(metrics["dropped_by"]), name="rule")
    )
    broken = pd.DataFrame(
        {"traces that break it": metrics["coarse_rules_broken"].values()},
        index=pd.Index(list(metrics["coarse_rules_broken"]), name="coarse rule"),
    )
    pairs = pd.DataFrame.from_dict(metrics["pairs"], orient="index")
    return Section("Kept and dropped", join(paragraph(text), table(rules), table(broken), table(pairs)))


def _confidences(outcome: Outcome) -> list[Section]:
    if outcome.checked is None or not outcome.checked.verdicts:
        return []
    kept = {qid for qid, _ in names_of(outcome.kept)}
    values: dict[str, list[float]] = {"kept": [], "dropped": []}
    for qid, verdict in outcome.checked.verdicts.items():
        values["kept" if qid in kept else "dropped"].append(verdict.confidence)
    drawing = Figure(figsize=(7, 2.6))
    axes = drawing.subplots()
    axes.hist(
        list(values.values()),
        bins=20,
        range=(0, 1),
        stacked=True,
        label=list(values),
        color=["#1f6feb", "#d9822b"],
    )
    axes.set_yscale("symlog")
    axes.set_xlabel("verifier's confidence")
    axes.set_ylabel("traces")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return [Section("Confidence", figure(drawing, "Confidences of the traces that passed the rules"))]


def _truth(metrics: dict[str, Any]) -> list[Section]:
    if "against_truth" not in metrics:
        return []
    found = pd.DataFrame({"value": metrics["against_truth"]}, dtype=object)
    text = (
        "The data set is made, so wrong traces are known: those that are not word for word the truth. "
        "Precision: share of the dropped that are wrong. Recall: share of the wrong that are dropped; a "
        "mistake in the reasoning with a right answer is out of the rank verifier's sight."
    )
    return [Section("How right the filter is", join(paragraph(text), table(found)))]


def _leakage(metrics: dict[str, Any]) -> Section:
    found = metrics["leakage"]
    if "not_measured" in found:
        return Section("Leakage", note(f"Not measured: {found['not_measured']}."))
    rows = pd.DataFrame.from_dict(
        {name: found[name] for name in ("sighted", "blind", "difference")}, orient="index"
    )
    text = (
        f"Share of the target's word {found['ngram']}-grams that the answer holds, over {found['queries']:,} "
        "queries that a teacher answered with and without sight of the target; 95 % bootstrap intervals over "
        "queries. The difference is what sight adds."
    )
    return Section("Leakage", join(paragraph(text), table(rows)))


def _dropped_rows(outcome: Outcome) -> pd.DataFrame:
    count: Counter[str] = Counter()
    rows = []
    for drop in outcome.dropped_in_order():
        count[drop.rule] += 1
        if count[drop.rule] <= EXAMPLES_PER_RULE:
            rows.append(
                {
                    "rule": f"{drop.stage}: {drop.rule}",
                    "detail": drop.detail,
                    **_row(_case(outcome, drop.qid)),
                }
            )
    return pd.DataFrame(rows).sort_values("rule", kind="stable", ignore_index=True)


def _case(outcome: Outcome, qid: str) -> Case:
    return outcome.cases[int(np.searchsorted(outcome.cases.numbers, query_number(qid)))]


def _kept_rows(outcome: Outcome, blind: Mapping[str, Trace]) -> pd.DataFrame:
    count: Counter[str] = Counter()
    rows = []
    for place, (_, pair) in enumerate(names_of(outcome.kept)):
        count[pair] += 1
        if count[pair] <= EXAMPLES_PER_RULE:
            case = outcome.kept[place]
            verdict = outcome.checked.verdicts.get(case.trace.qid) if outcome.checked else None
            other = blind.get(case.trace.qid)
            rows.append(
                {
                    **_row(case),
                    "blind answer": other.answer if other else None,
                    "confidence": verdict.confidence if verdict else None,
                }
            )
    return pd.DataFrame(rows)


def _row(case: Case) -> dict[str, Any]:
    return {
        "query": shown_query(case.example),
        "target": shown(case.example.target),
        "reasoning": case.trace.reasoning,
        "answer": case.trace.answer,
    }
