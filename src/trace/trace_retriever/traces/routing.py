"""Which queries need reasoning: three strategies, each with the same kind of answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trace_retriever.config.route import RouteConfig, Strategy, UtilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.traces.ask import Asking, count_reasons
from trace_retriever.traces.candidates import Described, Field
from trace_retriever.traces.examples import Example
from trace_retriever.traces.ranks import ranks
from trace_retriever.traces.teachers.base import Judgement, Teacher, Written


@dataclass(frozen=True)
class Labels:
    """What a strategy says.

    Attributes:
        judgements: qid → route and confidence; a query without one could not be labelled.
        failures: reason → how many queries have none for it.
        skipped: why the strategy was not computed at all, or None.
    """

    judgements: dict[str, Judgement]
    failures: dict[str, int]
    skipped: str | None = None


def label(
    strategy: Strategy,
    examples: Sequence[Example],
    layout: Layout,
    teacher: Teacher,
    config: RouteConfig,
    work: Path,
) -> Labels:
    """Label examples by one strategy.

    Raises:
        TeacherError: too many requests failed, or the teacher cannot be used.
    """
    if strategy == "dataset":
        return by_dataset(examples)
    asking = Asking(teacher=teacher, max_failed_share=config.teacher.max_failed_share, work=work)
    if strategy == "judge":
        answers = asking.ask(examples, teacher.judge, Judgement, "judgements")
        return Labels(answers.given, count_reasons(answers.failures))
    return by_utility(examples, layout, asking, config.utility, config.seed)


def by_dataset(examples: Sequence[Example]) -> Labels:
    """The paper's table: traces for CIRR, FashionIQ, InfoSeek and OVEN (and the made complex data sets)."""
    return Labels(
        {
            example.qid: Judgement(route="complex" if example.pair.is_complex else "simple", confidence=1.0)
            for example in examples
        },
        {},
    )


def by_utility(
    examples: Sequence[Example], layout: Layout, asking: Asking, params: UtilityParams, seed: int
) -> Labels:
    """Complex where a blind trace gains the target reciprocal rank in a lexical probe.

    The probe scores candidates' descriptions against the query's words, and against its words and its trace.
    It sees no picture: a trace that puts into words what any encoder sees counts as a gain, so that picture
    queries are called complex too readily; and where descriptions are missing it cannot tell. Confidence is
    the distance of the gain from the threshold, as a share of the greatest possible.
    """
    fields: list[tuple[Field, list[Example]]] = []
    for split in dict.fromkeys(example.split for example in examples):
        described = Described.read(layout, split)
        for _, group in groups([example for example in examples if example.split == split]):
            if field := described.field(group, params.pool_limit, seed):
                fields.append((field, group))
    ranked = [example for _, group in fields for example in group]
    if not ranked:
        return Labels({}, {}, skipped="no target has a text that a lexical probe could rank")
    traces = _probe_traces(ranked, asking)
    judgements: dict[str, Judgement] = {}
    for field, group in fields:
        texts = [_with(example.words, traces.get(example.qid)) for example in group]
        with_trace = ranks(field, group, texts)
        without = ranks(field, group, [example.words for example in group])
        for example, after, before in zip(group, with_trace, without, strict=True):
            gain = 1 / after.rank - 1 / before.rank if example.qid in traces else 0.0
            judgements[example.qid] = _judge_gain(gain, params.min_gain)
    missing = len(examples) - len(ranked)
    return Labels(judgements, {"no target with a text": missing} if missing else {})


def _probe_traces(examples: Sequence[Example], asking: Asking) -> dict[str, Written]:
    """Blind traces; a query for which the teacher has none gets none, and so no gain."""
    teacher = asking.teacher
    lenient = Asking(teacher=teacher, max_failed_share=1.0, work=asking.work)
    limits = asking if teacher.costly else lenient  # the scene teacher has no trace for any simple query
    answers = limits.ask(
        examples, lambda example: teacher.write(example, sees_target=False), Written, "probe-traces"
    )
    return answers.given


def _with(words: str, trace: Written | None) -> str:
    return f"{words} ; {trace.reasoning} ; {trace.answer}" if trace else words


def _judge_gain(gain: float, threshold: float) -> Judgement:
    complex_ = gain > threshold
    span = 1 - threshold if complex_ else 1 + threshold
    return Judgement(
        route="complex" if complex_ else "simple", confidence=min(1.0, abs(gain - threshold) / span)
    )


def groups(examples: Sequence[Example]) -> list[tuple[tuple[str, Split], list[Example]]]:
    """Examples by pair name and split, both in order."""
    found: dict[tuple[str, Split], list[Example]] = {}
    for example in examples:
        found.setdefault((example.pair.name, example.split), []).append(example)
    return sorted(found.items())


def sample(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """A seeded sample in the given order; all of them when `count` is 0 or not smaller."""
    if not 0 < count < len(examples):
        return list(examples)
    chosen = np.random.default_rng(seed).choice(len(examples), count, replace=False)
    return [examples[number] for number in sorted(chosen.tolist())]
