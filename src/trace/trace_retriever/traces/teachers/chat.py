"""A teacher made of prompts and any model that answers them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example
from trace_retriever.traces.parse import MalformedError, parse_complexity, parse_consistency, parse_trace
from trace_retriever.traces.prompts import Prompt, judge_prompt, verifier_prompt, writer_prompt
from trace_retriever.traces.teachers.base import Judgement, UnansweredError, Verdict, Written

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, kw_only=True)
class TeacherRequest:
    """One prompt: the system's words, the user's words, and pictures that stand before the latter."""

    id: str
    system: str
    text: str
    images: tuple[Path, ...] = ()
    max_tokens: int = 512


class Chat(Protocol):
    """A model that answers prompts; attributes as in `Teacher`."""

    name: str
    concurrency: int

    def complete(self, request: TeacherRequest) -> str:
        """Answer one prompt; raises as `Teacher.write`."""

    def stop(self) -> None:
        """As `Teacher.stop`."""


class PromptedTeacher:
    """Asks a chat model with the prompts of `traces.prompts` and reads its answers strictly; see `Teacher`.

    Args:
        chat: the model.
        max_tokens: longest answer, in the model's tokens.
    """

    costly = True

    def __init__(self, chat: Chat, max_tokens: int) -> None:
        self._chat = chat
        self._max_tokens = max_tokens
        self.name = chat.name
        self.concurrency = chat.concurrency

    def write(self, example: Example, *, sees_target: bool) -> Written:
        """Have a trace written; see `Teacher`."""
        if sees_target:
            _require_target(example)
        parts = self._ask(example, writer_prompt(example, sees_target=sees_target), parse_trace)
        return Written(reasoning=parts.reasoning, answer=parts.answer)

    def judge(self, example: Example) -> Judgement:
        """Have a query's complexity judged; see `Teacher`."""
        said = self._ask(example, judge_prompt(example), parse_complexity)
        return Judgement(route=said.complexity, confidence=said.confidence)

    def verify(self, example: Example, trace: Trace) -> Verdict:
        """Have a trace verified; see `Teacher`."""
        _require_target(example)
        said = self._ask(example, verifier_prompt(example, trace), parse_consistency)
        return Verdict(consistent=said.decision == "consistent", confidence=said.confidence)

    def stop(self) -> None:
        """Stop the model's waiting; see `Teacher`."""
        self._chat.stop()

    def _ask(self, example: Example, prompt: Prompt, parse: Callable[[str], Parsed]) -> Parsed:
        request = TeacherRequest(
            id=example.qid,
            system=prompt.system,
            text=prompt.text,
            images=prompt.images,
            max_tokens=self._max_tokens,
        )
        answer = self._chat.complete(request)
        try:
            return parse(answer)
        except MalformedError as error:
            raise UnansweredError(f"malformed answer: {error}") from None


def _require_target(example: Example) -> None:
    if example.target is None:
        raise UnansweredError("none of the query's positives is in a pool of its split")
