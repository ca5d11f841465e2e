"""The offline teacher of a made benchmark: it reads the scene behind a picture."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from trace_retriever.config.teacher import SceneTeacherParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Split
from trace_retriever.mbeir.records import Trace, Truth
from trace_retriever.traces.examples import Example
from trace_retriever.traces.teachers.base import Judgement, UnansweredError, Verdict, Written

Slot = tuple[str, int, int]  # pair, place of a word in its phrase, length of the phrase


class SceneTeacher:
    """Answers from the data set's `truth/`; see `Teacher`.

    It never looks at the target, since the truth follows from the query: its sighted and its blind traces
        differ
    in their errors alone.

    Args:
        layout: the data set.
        params: how often it errs, and the seed of that.
        splits: whose queries it will be asked about.

    Raises:
        DataError: the data set has no truth, as all but made ones.
    """

    name = "scene"
    concurrency = 1
    costly = False

    def __init__(
        self, layout: Layout, params: SceneTeacherParams, splits: Sequence[Split] = ("train", "val")
    ) -> None:
        self._params = params
        self._truths: dict[str, Truth] = {}
        for split in splits:
            self._truths |= _truths(layout, split)
        self._words = _words_by_slot(self._truths.values())

    def write(self, example: Example, *, sees_target: bool) -> Written:
        """The true trace, or at `error_rate` one with a wrong word; see `Teacher`."""
        truth = self._truth(example)
        if truth.route == "simple":
            raise UnansweredError("the truth has no trace: the query is simple")
        rng = np.random.default_rng([self._params.seed, query_number(truth.qid), int(sees_target)])
        parts = (truth.reasoning, truth.answer)
        if rng.random() < self._params.error_rate:
            parts = self._spoil(truth, rng)
        return Written(reasoning=parts[0], answer=parts[1])

    def judge(self, example: Example) -> Judgement:
        """The true route."""
        return Judgement(route=self._truth(example).route, confidence=1.0)

    def verify(self, example: Example, trace: Trace) -> Verdict:
        """Whether a trace is the true one, word for word."""
        return Verdict(consistent=trace.text.split() == self._truth(example).text.split(), confidence=1.0)

    def stop(self) -> None:
        """Nothing is ever waited for."""

    def _truth(self, example: Example) -> Truth:
        truth = self._truths.get(example.qid)
        if truth is None:
            raise DataError(
                f"query {example.qid} has no truth",
                where=f"truth/{example.split}.jsonl",
                remedy="run `trace prepare` again",
            )
        return truth

    def _spoil(self, truth: Truth, rng: np.random.Generator) -> tuple[str, str]:
        """Swap a word of the reasoning or the answer for another that stands there elsewhere.

        Which of the two is even odds, or as the params say.
        """
        parts = [truth.reasoning, truth.answer]
        part = self._params.error_part
        for number in rng.permutation(2) if part == "either" else [("reasoning", "answer").index(part)]:
            tokens = parts[number].split()
            options = [
                (place, words)
                for place, slot in enumerate(_slots(truth.pair, tokens))
                if slot and (words := sorted(self._words[slot] - {tokens[place]}))
            ]
            if options:
                place, words = options[int(rng.integers(len(options)))]
                tokens[place] = words[int(rng.integers(len(words)))]
                parts[number] = " ".join(tokens)
                break
        return parts[0], parts[1]


def _truths(layout: Layout, split: Split) -> dict[str, Truth]:
    truths = layout.truth(split)
    if truths is None:
        raise DataError(
            "teacher `scene` reads the truth of a made benchmark, and this data set has none",
            where=layout.root / "truth",
            remedy="use teacher openai or transformers",
        )
    return truths


def _words_by_slot(truths: Iterable[Truth]) -> dict[Slot, set[str]]:
    words: dict[Slot, set[str]] = {}
    for truth in truths:
        for part in (truth.reasoning, truth.answer):
            tokens = part.split()
            for token, slot in zip(tokens, _slots(truth.pair, tokens), strict=True):
                if slot:
                    words.setdefault(slot, set()).add(token)
    return words


def _slots(pair: str, tokens: list[str]) -> list[Slot | None]:
    """Where each word stands in its phrase; None for punctuation and for labels (a word before a colon)."""
    slots: list[Slot | None] = [None] * len(tokens)
    marks = [-1, *(n for n, token in enumerate(tokens) if not re.search(r"\w", token)), len(tokens)]
    for before, after in pairwise(marks):
        if after < len(tokens) and tokens[after] == ":":
            continue
        for place in range(before + 1, after):
            slots[place] = (pair, place - before, after - before - 1)
    return slots
