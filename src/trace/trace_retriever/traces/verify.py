"""The fine filter: a verifier's decision and confidence for each trace (paper: consistent and above 0.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from trace_retriever.config.filter import FineParams, RankParams
from trace_retriever.errors import DataError
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.ask import Asking
from trace_retriever.traces.candidates import Described, Field
from trace_retriever.traces.cases import Cases, examples_of, homes_of_cases, names_of
from trace_retriever.traces.examples import Example
from trace_retriever.traces.lazy import take
from trace_retriever.traces.ranks import Ranked, ranks
from trace_retriever.traces.rules import Case, Dropped
from trace_retriever.traces.teachers.base import Teacher, Verdict

NO_TARGET = "no target with a description"


@dataclass(frozen=True)
class Checked:
    """What a verifier said.

    Attributes:
        verdicts: qid → verdict.
        reasons: qid → what lies behind it, for people.
        failures: qid → why there is no verdict.
    """

    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


def rank_verifier(
    cases: Sequence[Case], described: dict[Split, Described], params: RankParams, layout: Layout, seed: int
) -> Checked:
    """Does the trace raise the target's rank over hard distractors? Offline, words against words.

    The answer of a trace is scored (cosine, `lexical.Corpus`) against the descriptions of its pair's
    candidates. With s the target's score and d_1..d_K those of the K best-scored wrong candidates:

        p          = exp(s / t) / (exp(s / t) + sum_k exp(d_k / t)),   t = `temperature`
        support    = share of the answer's phrases found in the target's description (1 if switched off)
        confidence = p x support
        consistent = the rank by the answer is no worse than the rank by the query's words alone

    Both factors are needed: a wrong answer may still be nearest to its target when its own scene is not in
    the pool (support tells), and a right but vague one may fit many candidates (p tells). It reads nothing
    but words, so a paraphrase costs confidence: meant for descriptions in controlled language, not for free
    captions. It reads the answer alone, so a mistake in the reasoning with a right answer passes.

    Raises:
        DataError: no target has a description.
    """
    verdicts: dict[str, Verdict] = {}
    checked = Checked(verdicts)
    grouped: dict[tuple[str, Split], list[int]] = {}
    for place, (pair, split) in enumerate(homes_of_cases(cases)):
        grouped.setdefault((pair.name, split), []).append(place)
    shown: tqdm[object] = bar("ranking", total=len(cases), unit="trace")
    with shown:
        for (_, split), places in sorted(grouped.items()):
            group = take(cases, np.array(places))
            ranked = False
            for part, candidates in described[split].fields(examples_of(group), params.pool_limit, seed):
                ranked = True
                _rank_part(checked, verdicts, list(group[part]), candidates, params)
                shown.update(part.stop - part.start)
            if not ranked:
                checked.failures.update((case.trace.qid, NO_TARGET) for case in group)
    if len(cases) and not checked.verdicts:
        raise DataError(
            "verifier `rank` needs texts of the candidates, and no target of a trace has one",
            where=layout.root,
            remedy="set filter.fine.verifier to teacher (or prepare a data set with truth/candidates.jsonl)",
        )
    return checked


def _rank_part(
    checked: Checked, verdicts: dict[str, Verdict], group: list[Case], candidates: Field, params: RankParams
) -> None:
    examples = [case.example for case in group]
    after = ranks(candidates, examples, [case.trace.answer for case in group], params.distractors)
    before = ranks(candidates, examples, [example.words for example in examples])
    for case, now, was in zip(group, after, before, strict=True):
        if now.best < 0:
            checked.failures[case.trace.qid] = NO_TARGET
        else:
            verdicts[case.trace.qid], checked.reasons[case.trace.qid] = _verdict(
                case, now, was, candidates, params
            )


def _verdict(
    case: Case, now: Ranked, was: Ranked, candidates: Field, params: RankParams
) -> tuple[Verdict, str]:
    """The verdict, and what lies behind it."""
    scores = np.array([now.score, *now.rivals]) / params.temperature
    weights = np.exp(scores - scores.max())
    p = float(weights[0] / weights.sum())
    support = (
        candidates.corpus.support(case.trace.answer, candidates.texts[now.best]) if params.support else 1.0
    )
    verdict = Verdict(consistent=now.rank <= was.rank, confidence=round(min(1.0, p * support), 6))
    return verdict, f"rank {was.rank:g} to {now.rank:g}, p {p:.2f}, support {support:.2f}"


def teacher_verifier(cases: Sequence[Case], teacher: Teacher, max_failed_share: float, work: Path) -> Checked:
    """Ask a teacher, who sees query, target and trace.

    Raises:
        TeacherError: too many requests failed, or the teacher cannot be used.
    """
    traces: Mapping[str, Trace] = (
        cases.traces if isinstance(cases, Cases) else {case.trace.qid: case.trace for case in cases}
    )

    def call(example: Example) -> Verdict:
        return teacher.verify(example, traces[example.qid])

    asking = Asking(teacher=teacher, max_failed_share=max_failed_share, work=work)
    answers = asking.ask(examples_of(cases), call, Verdict, "verdicts")
    return Checked(
        verdicts=answers.given, failures={failure.example.qid: failure.reason for failure in answers.failures}
    )


def decide(
    cases: Sequence[Case], checked: Checked, params: FineParams
) -> tuple[Sequence[Case], list[Dropped]]:
    """Keep what is consistent and above the confidence threshold; say why the rest is not."""
    kept: list[int] = []
    dropped: list[Dropped] = []
    for place, (qid, pair) in enumerate(names_of(cases)):
        verdict = checked.verdicts.get(qid)
        detail = checked.reasons.get(qid, "")
        if verdict is None:
            dropped.append(Dropped(qid, pair, "fine", "unverified", checked.failures[qid]))
        elif not verdict.consistent:
            dropped.append(Dropped(qid, pair, "fine", "inconsistent", detail))
        elif verdict.confidence <= params.min_confidence:
            dropped.append(Dropped(qid, pair, "fine", "confidence", detail or f"{verdict.confidence:.2f}"))
        else:
            kept.append(place)
    return take(cases, np.array(kept, dtype=np.int64)), dropped
