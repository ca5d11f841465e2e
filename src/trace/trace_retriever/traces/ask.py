"""Putting many requests to a teacher: side by side, resumable, and stopped when too many fail."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel
from tqdm import tqdm

from trace_retriever.errors import TeacherError
from trace_retriever.io.jsonl import JsonlLog
from trace_retriever.io.progress import bar
from trace_retriever.mbeir.ids import query_number
from trace_retriever.traces.answers import Answers, Logged, LoggedAnswers
from trace_retriever.traces.examples import Example, numbers_of
from trace_retriever.traces.lazy import take
from trace_retriever.traces.teachers.base import Failure, Teacher, UnansweredError

Answer = TypeVar("Answer", bound=BaseModel)
PATIENCE = 200  # requests before a share of failures among those asked so far says something


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How requests are put.

    Attributes:
        teacher: who is asked.
        max_failed_share: share of failed requests above which the work stops.
        work: directory of the log of answers; failures are not logged, so that a rerun asks again.
    """

    teacher: Teacher
    max_failed_share: float
    work: Path

    def ask(
        self, examples: Sequence[Example], call: Callable[[Example], Answer], kind: type[Answer], what: str
    ) -> Answers[Answer]:
        """Ask about each example.

        Args:
            examples: about what; distinct query ids.
            call: puts one request; raises UnansweredError for a failure that is counted.
            kind: the type of an answer.
            what: names the log and the progress bar.

        Raises:
            TeacherError: too many requests failed, the budget is spent, or the teacher cannot be used at all;
                answers so far are kept for a rerun.
        """
        if self.teacher.costly:
            return self._logged(examples, call, kind, what)
        given: dict[str, Answer] = {}
        failures: list[Failure] = []
        for example, result in self._put(examples, examples, call, what):
            if isinstance(result, Failure):
                failures.append(result)
            else:
                given[example.qid] = result
        return Answers(given, failures)

    def _logged(
        self, examples: Sequence[Example], call: Callable[[Example], Answer], kind: type[Answer], what: str
    ) -> Answers[Answer]:
        """Answers go to the log, whose lines are read again by those who want them."""
        path, numbers = self.work / f"{what}.jsonl", numbers_of(examples)
        failures: dict[str, Failure] = {}
        with JsonlLog(path) as log:
            known = LoggedAnswers(path, kind).numbers
            todo = take(examples, np.flatnonzero(~np.isin(numbers, known)))
            for example, result in self._put(todo, examples, call, what):
                if isinstance(result, Failure):
                    failures[example.qid] = result
                else:
                    log.append(Logged[kind](qid=example.qid, answer=result))  # type: ignore[valid-type]
        ordered = sorted(failures.values(), key=lambda failure: query_number(failure.example.qid))
        return Answers(LoggedAnswers(path, kind).within(numbers), ordered)

    def _put(
        self,
        todo: Sequence[Example],
        examples: Sequence[Example],
        call: Callable[[Example], Answer],
        what: str,
    ) -> Iterator[tuple[Example, Answer | Failure]]:
        """Put the requests that are left, and stop where too many of all fail."""
        failures: list[Failure] = []
        done = len(examples) - len(todo)
        shown: tqdm[Any] = bar(what, total=len(examples), unit="query")
        with shown, closing(self._results(todo, call)) as results:  # an error ends the workers at once
            shown.update(done)
            for example, result in results:
                shown.update()
                done += 1
                if isinstance(result, Failure):
                    failures.append(result)
                    self._check(failures, done - len(failures), len(examples), what)
                yield example, result

    def _results(
        self, examples: Sequence[Example], call: Callable[[Example], Answer]
    ) -> Generator[tuple[Example, Answer | Failure]]:
        if self.teacher.concurrency == 1:
            yield from ((example, _attempt(call, example)) for example in examples)
            return
        with ThreadPoolExecutor(self.teacher.concurrency) as workers:
            running: dict[Future[Answer | Failure], Example] = {}
            fatal: TeacherError | None = None
            waiting = iter(examples)
            try:
                while True:
                    while fatal is None and len(running) < self.teacher.concurrency:
                        if (example := next(waiting, None)) is None:
                            break
                        running[workers.submit(_attempt, call, example)] = example
                    if not running:
                        break
                    for done in wait(running, return_when=FIRST_COMPLETED).done:
                        example = running.pop(done)
                        try:
                            yield example, done.result()
                        except TeacherError as error:
                            fatal = fatal or error  # what is under way may still finish, and is kept
            finally:
                if running:
                    self.teacher.stop()
            if fatal is not None:
                raise fatal

    def _check(self, failures: list[Failure], given: int, total: int, what: str) -> None:
        base = max(len(failures) + given, min(total, PATIENCE))
        if len(failures) <= self.max_failed_share * base:
            return
        reasons = count_reasons(failures)
        shown = "; ".join(f"{count} x {reason}" for reason, count in list(reasons.items())[:3])
        raise TeacherError(
            f"{len(failures)} of {len(failures) + given} requests to teacher {self.teacher.name!r} failed "
            f"({what}); at most {self.max_failed_share:.1%} may: {shown}",
            where=self.work,
            remedy="see to the teacher and run again (answers so far are kept), "
            "or raise teacher.max_failed_share",
        )


def _attempt(call: Callable[[Example], Answer], example: Example) -> Answer | Failure:
    try:
        return call(example)
    except UnansweredError as error:
        return Failure(example, error.reason)


def count_reasons(failures: Iterable[Failure]) -> dict[str, int]:
    """Reason → how many failures have it, most frequent first."""
    counts = Counter(failure.reason for failure in failures)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
