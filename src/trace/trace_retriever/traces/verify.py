"""The fine filter: a verifier's decision and confidence for each trace (paper: consistent and above 0.7)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trace_retriever.config.filter import FineParams, RankParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.traces.ask import Asking
from trace_retriever.traces.candidates import Described, Field
from trace_retriever.traces.examples import Example
from trace_retriever.traces.ranks import Ranked, ranks
from trace_retriever.traces.rules import Case, Dropped
from trace_retriever.traces.teachers.base import Teacher, Verdict


@dataclass(frozen=True)
class Checked:
    """What a verifier said.

    Attributes:
        verdicts: qid → verdict.
        reasons: qid → what lies behind it, for people.
        failures: qid → why there is no verdict.
    """

    verdicts: dict[str, Verdict] = field(default_factory=dict)
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
    checked = Checked()
    grouped: dict[tuple[str, Split], list[Case]] = {}
    for case in cases:
        grouped.setdefault((case.example.pair.name, case.example.split), []).append(case)
    for (_, split), group in sorted(grouped.items()):
        examples = [case.example for case in group]
        candidates = described[split].field(examples, params.pool_limit, seed)
        if candidates is None:
            checked.failures.update((case.trace.qid, "no target with a description") for case in group)
            continue
        answers = [case.trace.answer for case in group]
        after = ranks(candidates, examples, answers, params.distractors)
        before = ranks(candidates, examples, [example.words for example in examples])
        for case, now, was in zip(group, after, before, strict=True):
            _record(checked, case, now, was, candidates, params)
    if cases and not checked.verdicts:
        raise DataError(
            "verifier `rank` needs texts of the candidates, and no target of a trace has one",
            where=layout.root,
            remedy="set filter.fine.verifier to teacher (or prepare a data set with truth/candidates.jsonl)",
        )
    return checked


def _record(
    checked: Checked, case: Case, now: Ranked, was: Ranked, candidates: Field, params: RankParams
) -> None:
    if now.best < 0:
        checked.failures[case.trace.qid] = "no target with a description"
        return
    scores = np.array([now.score, *now.rivals]) / params.temperature
    weights = np.exp(scores - scores.max())
    p = float(weights[0] / weights.sum())
    support = (
        candidates.corpus.support(case.trace.answer, candidates.texts[now.best]) if params.support else 1.0
    )
    checked.verdicts[case.trace.qid] = Verdict(
        consistent=now.rank <= was.rank, confidence=round(min(1.0, p * support), 6)
    )
    checked.reasons[case.trace.qid] = f"rank {was.rank:g} to {now.rank:g}, p {p:.2f}, support {support:.2f}"


def teacher_verifier(cases: Sequence[Case], teacher: Teacher, max_failed_share: float, work: Path) -> Checked:
    """Ask a teacher, who sees query, target and trace.

    Raises:
        TeacherError: too many requests failed, or the teacher cannot be used.
    """
    traces = {case.trace.qid: case.trace for case in cases}

    def call(example: Example) -> Verdict:
        return teacher.verify(example, traces[example.qid])

    asking = Asking(teacher=teacher, max_failed_share=max_failed_share, work=work)
    answers = asking.ask([case.example for case in cases], call, Verdict, "verdicts")
    return Checked(
        verdicts=answers.given, failures={failure.example.qid: failure.reason for failure in answers.failures}
    )


def decide(cases: Sequence[Case], checked: Checked, params: FineParams) -> tuple[list[Case], list[Dropped]]:
    """Keep what is consistent and above the confidence threshold; say why the rest is not."""
    kept: list[Case] = []
    dropped: list[Dropped] = []
    for case in cases:
        qid = case.trace.qid
        verdict = checked.verdicts.get(qid)
        detail = checked.reasons.get(qid, "")
        if verdict is None:
            dropped.append(Dropped(case.trace, "fine", "unverified", checked.failures[qid]))
        elif not verdict.consistent:
            dropped.append(Dropped(case.trace, "fine", "inconsistent", detail))
        elif verdict.confidence <= params.min_confidence:
            dropped.append(Dropped(case.trace, "fine", "confidence", detail or f"{verdict.confidence:.2f}"))
        else:
            kept.append(case)
    return kept, dropped
