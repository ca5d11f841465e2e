"""Step `synthesize`: a teacher writes a reasoning trace for each complex train and val query."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from trace_retriever.config.synthesize import SynthesizeConfig
from trace_retriever.errors import DataError
from trace_retriever.io.files import write_atomic
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS
from trace_retriever.mbeir.records import Trace
from trace_retriever.step import Metrics
from trace_retriever.traces.answers import Answers
from trace_retriever.traces.ask import Asking
from trace_retriever.traces.examples import Example, Examples, load_examples
from trace_retriever.traces.reports.synthesize import synthesize_metrics, synthesize_page
from trace_retriever.traces.routes import read_routes
from trace_retriever.traces.routing import sample
from trace_retriever.traces.teachers.base import Teacher, Written
from trace_retriever.traces.teachers.build import build_teacher


def synthesize(
    config: SynthesizeConfig, *, dataset: Path, routes: Path, out: Path, report: Path, work: Path
) -> Metrics:
    """Write `traces.jsonl`, `failed.jsonl` ({qid, pair, reason}) and `blind.jsonl`, each ordered by query id.

    Every complex query is in exactly one of the first two. `blind.jsonl` holds what a teacher without sight
    of the target wrote for a sample of the train queries; it is empty when the teacher is blind anyway.

    Args:
        config: which teacher, and what it sees.
        dataset: M-BEIR root.
        routes: directory of step `route`.
        out, report, work: as every step (`step.Step`).

    Raises:
        DataError: a complex query is not in the data set, or the teacher cannot read this data set.
        TeacherError: the teacher fails too often, or its budget is spent; run again to go on.
    """
    layout = Layout(dataset)
    table = read_routes(routes)
    table = table.loc[table["route"] == "complex", ["qid", "split"]]
    splits = [split for split in SPLITS if (table["split"] == split).any()]
    wanted = np.array([query_number(qid) for qid in table["qid"]], dtype=np.int64)
    examples = load_examples(layout, splits, prompt_index=config.prompt_index, wanted=wanted)
    if missing := len(wanted) - len(examples):
        raise DataError(
            f"{missing:,} complex queries of the routes are not in the data set",
            where=routes / "routes.parquet",
            remedy="run `trace route` on this data set",
        )
    teacher = build_teacher(config.teacher, layout, splits)
    asking = Asking(teacher=teacher, max_failed_share=config.teacher.max_failed_share, work=work)
    written = _ask(asking, examples, "traces", sees_target=config.sees_target)
    blind = Answers[Written]({}, [])
    if config.sees_target:
        in_train = np.array([split == "train" for _, split in examples.homes()], dtype=bool)
        answered = np.isin(examples.numbers, written.numbers())
        train = examples.take(np.flatnonzero(in_train & answered))
        blind_sample = sample(train, config.blind_queries, config.seed) if config.blind_queries else []
        blind = _ask(asking, blind_sample, "blind", sees_target=False)
    write_jsonl(out / "traces.jsonl", _traces(examples, written, teacher, sees_target=config.sees_target))
    write_jsonl(out / "blind.jsonl", _traces(examples, blind, teacher, sees_target=False))
    write_jsonl(out / "failed.jsonl", [failure.record() for failure in written.failures])
    metrics = synthesize_metrics(teacher.name, examples, written, blind)
    write_atomic(report / "report.html", synthesize_page(metrics, examples, written, blind))
    return metrics


def _ask(asking: Asking, examples: Sequence[Example], what: str, *, sees_target: bool) -> Answers[Written]:
    call = partial(asking.teacher.write, sees_target=sees_target)
    return asking.ask(examples, call, Written, what)


def _traces(
    examples: Examples, answers: Answers[Written], teacher: Teacher, *, sees_target: bool
) -> Iterator[Trace]:
    """The answers as traces; they are in the order of the examples."""
    answered = examples.take(np.flatnonzero(np.isin(examples.numbers, answers.numbers())))
    for (pair, _), (qid, answer) in zip(answered.homes(), answers.pairs(), strict=True):
        yield Trace(
            qid=qid,
            pair=pair.name,
            reasoning=answer.reasoning,
            answer=answer.answer,
            teacher=teacher.name,
            sees_target=sees_target,
        )
