"""Which queries need reasoning: three strategies, each with the same kind of answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trace_retriever.config.route import RouteConfig, Strategy, UtilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.traces.ask import Asking, count_reasons
from trace_retriever.traces.candidates import Described, Field
from trace_retriever.traces.examples import Example, homes_of
from trace_retriever.traces.judgements import Judgements
from trace_retriever.traces.lazy import take
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

    judgements: Mapping[str, Judgement]
    failures: dict[str, int]
    skipped: str | None = None


def label(
    strategy: Strategy,
    examples: Sequence[Example],
    layout: Layout,
    teacher: Callable[[], Teacher],
    config: RouteConfig,
    work: Path,
) -> Labels:
    """Label examples by one strategy.

    Args:
        strategy: which one.
        examples: what to label.
        layout: the data set.
        teacher: makes the teacher, for the strategies that ask one.
        config: the step's params.
        work: directory of the teacher's log.

    Raises:
        TeacherError: too many requests failed, or the teacher cannot be used.
    """
    if strategy == "dataset":
        return by_dataset(examples)
    asking = Asking(teacher=teacher(), max_failed_share=config.teacher.max_failed_share, work=work)
    if strategy == "judge":
        answers = asking.ask(examples, asking.teacher.judge, Judgement, "judgements")
        return Labels(answers.given, count_reasons(answers.failures))
    return by_utility(examples, layout, asking, config.utility, config.seed)


def by_dataset(examples: Sequence[Example]) -> Labels:
    """The paper's table: traces for CIRR, FashionIQ, InfoSeek and OVEN (and the made complex data sets)."""
    return Labels(Judgements.by_dataset(examples), {})


def by_utility(
    examples: Sequence[Example], layout: Layout, asking: Asking, params: UtilityParams, seed: int
) -> Labels:
    """Complex where a blind trace gains the target reciprocal rank in a lexical probe.

    The probe scores candidates' descriptions against the query's words, and against its words and its trace.
    It sees no picture: a trace that puts into words what any encoder sees counts as a gain, so that picture
    queries are called complex too readily; and where descriptions are missing it cannot tell. Confidence is
    the distance of the gain from the threshold, as a share of the greatest possible.
    """
    judgements: dict[str, Judgement] = {}
    described: dict[Split, Described] = {}
    for (_, split), group in groups(examples):
        if split not in described:
            described = {split: Described.read(layout, split)}  # of one split at a time
        for part, field in described[split].fields(group, params.pool_limit, seed):
            judgements |= _judged_by_gain(list(group[part]), field, asking, params)
    if not judgements:
        return Labels({}, {}, skipped="no target has a text that a lexical probe could rank")
    missing = len(examples) - len(judgements)
    return Labels(judgements, {"no target with a text": missing} if missing else {})


def _judged_by_gain(
    group: list[Example], field: Field, asking: Asking, params: UtilityParams
) -> dict[str, Judgement]:
    traces = _probe_traces(group, asking)
    texts = [_with(example.words, traces.get(example.qid)) for example in group]
    with_trace = ranks(field, group, texts)
    without = ranks(field, group, [example.words for example in group])
    judgements = {}
    for example, after, before in zip(group, with_trace, without, strict=True):
        gain = 1 / after.rank - 1 / before.rank if example.qid in traces else 0.0
        judgements[example.qid] = _judge_gain(gain, params.min_gain)
    return judgements


def _probe_traces(examples: Sequence[Example], asking: Asking) -> Mapping[str, Written]:
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


def groups(examples: Sequence[Example]) -> list[tuple[tuple[str, Split], Sequence[Example]]]:
    """Examples by split, in the order in which the splits appear, and by pair name."""
    found: dict[tuple[str, Split], list[int]] = {}
    for place, (pair, split) in enumerate(homes_of(examples)):
        found.setdefault((pair.name, split), []).append(place)
    splits = list(dict.fromkeys(split for _, split in found))
    keys = sorted(found, key=lambda key: (splits.index(key[1]), key[0]))
    return [(key, take(examples, np.array(found[key]))) for key in keys]


def sample(examples: Sequence[Example], count: int, seed: int) -> Sequence[Example]:
    """A seeded sample in the given order; all of them when `count` is 0 or not smaller."""
    if not 0 < count < len(examples):
        return examples
    chosen = np.random.default_rng(seed).choice(len(examples), count, replace=False)
    return take(examples, np.sort(chosen))
