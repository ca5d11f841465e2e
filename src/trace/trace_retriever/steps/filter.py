"""Step `filter`: rules first, then a verifier; every trace is kept, or dropped with a reason."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trace_retriever.config.filter import FilterConfig
from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.step import Metrics
from trace_retriever.traces.candidates import Described
from trace_retriever.traces.cases import Cases, TraceFile
from trace_retriever.traces.examples import Examples, load_examples
from trace_retriever.traces.reports.filter import Outcome, filter_metrics, filter_page
from trace_retriever.traces.rules import Case, Dropped, screen
from trace_retriever.traces.teachers.build import build_teacher, with_default_path
from trace_retriever.traces.verify import Checked, decide, rank_verifier, teacher_verifier

SPLITS: tuple[Split, ...] = ("train", "val")


def filter(
    config: FilterConfig,
    *,
    dataset: Path,
    traces: Path,
    backbone: Path | None = None,
    out: Path,
    report: Path,
    work: Path,
) -> Metrics:
    """Write `kept.jsonl` (with confidence) and `dropped.jsonl` ({qid, pair, stage, rule, detail}).

    Args:
        config: bounds of the rules, the verifier, how leakage is measured.
        dataset: M-BEIR root.
        traces: directory of step `synthesize`.
        backbone: a local verifier's checkpoint where the params name none.
        out, report, work: as every step (`step.Step`).

    Raises:
        DataError: a trace's query is not in the data set, a qid is there twice, or the verifier finds no
            texts.
        TeacherError: the verifier fails too often, or its budget is spent; run again to go on.
    """
    layout = Layout(dataset)
    written = TraceFile(traces / "traces.jsonl")
    blind = TraceFile(traces / "blind.jsonl")
    examples = load_examples(
        layout, _splits(layout), prompt_index=config.prompt_index, wanted=written.numbers
    )
    _check_known(written, examples)
    splits = dict.fromkeys(split for _, split in examples.homes())
    described = {split: Described.read(layout, split) for split in splits}
    cases = Cases(written, examples, described)
    screened = screen(cases, config.coarse)
    checked = _verify(config, layout, screened.kept, described, backbone, work)
    if checked is None:
        kept, dropped = screened.kept, list[Dropped]()
    else:
        kept, dropped = decide(screened.kept, checked, config.fine)
    if not isinstance(kept, Cases):  # taken from cases, which are
        raise TypeError(type(kept))
    outcome = Outcome(cases, kept, screened.dropped + dropped, screened.broken, checked)
    write_jsonl(out / "kept.jsonl", outcome.kept_traces())
    write_jsonl(out / "dropped.jsonl", (drop.record() for drop in outcome.dropped_in_order()))
    metrics = filter_metrics(config, layout, outcome, written, blind)
    write_atomic(report / "report.html", filter_page(metrics, outcome, blind))
    return metrics


def _splits(layout: Layout) -> list[Split]:
    return [split for split in SPLITS if (layout.root / "query" / split).is_dir()]


def _check_known(traces: TraceFile, examples: Examples) -> None:
    """Each trace's query is there, and of the trace's pair."""
    known = dict(zip(examples.numbers.tolist(), (pair.name for pair, _ in examples.homes()), strict=True))
    for trace in traces.index.read(np.arange(len(traces))):
        if known.get(query_number(trace.qid)) != trace.pair:
            raise DataError(
                f"the data set has no train or val query {trace.qid!r} of pair {trace.pair!r}",
                where=traces.index.path,
                remedy="run `trace route` and `trace synthesize` on this data set",
            )


def _verify(
    config: FilterConfig,
    layout: Layout,
    cases: Sequence[Case],
    described: dict[Split, Described],
    backbone: Path | None,
    work: Path,
) -> Checked | None:
    """The verifier's verdicts; None where the params ask for no verifier."""
    fine = config.fine
    if fine.verifier == "none":
        return None
    if fine.verifier == "rank":
        return rank_verifier(cases, described, fine.rank, layout, config.seed)
    teacher = build_teacher(with_default_path(fine.teacher, backbone), layout, _splits(layout))
    return teacher_verifier(cases, teacher, fine.teacher.max_failed_share, work)
