"""What a teacher is: something that writes a trace, judges a query, or verifies a trace."""

from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example


class UnansweredError(Exception):
    """One request got no usable answer (refused, garbage, given up after retries); the others go on.

    Args:
        reason: what happened, from a small set and without query content, so that reasons can be counted.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Written(_Answer):
    """A trace in its two parts (paper, section on M-BEIR-CoT), without tags."""

    reasoning: str
    answer: str


class Judgement(_Answer):
    """Whether a query needs reasoning, and how sure the judge is."""

    route: Literal["simple", "complex"]
    confidence: float = Field(ge=0, le=1)


class Verdict(_Answer):
    """Whether a trace is consistent with its query and target, and how sure the verifier is of that."""

    consistent: bool
    confidence: float = Field(ge=0, le=1)


class Teacher(Protocol):
    """Writes, judges and verifies; each call is about one query and may be made from several threads.

    Attributes:
        name: how its traces are signed.
        concurrency: how many calls it takes at once.
        costly: whether its answers are worth keeping over a kill.
    """

    name: str
    concurrency: int
    costly: bool

    def write(self, example: Example, *, sees_target: bool) -> Written:
        """Write a trace, with or without sight of the target.

        Raises:
            UnansweredError: nothing usable came back for this query.
            TeacherError: nothing will for any; the run stops.
        """

    def judge(self, example: Example) -> Judgement:
        """Say whether a query needs reasoning, without sight of the target; raises as `write`."""

    def verify(self, example: Example, trace: Trace) -> Verdict:
        """Say whether a trace is right, in sight of the target; raises as `write`."""

    def stop(self) -> None:
        """Stop waiting and retrying: the run is over, and calls under way end as soon as they can."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without a usable answer, and why."""

    example: Example
    reason: str

    def record(self) -> dict[str, str]:
        """The line of `failed.jsonl`."""
        return {"qid": self.example.qid, "pair": self.example.pair.name, "reason": self.reason}
