"""Params of the step `filter`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trace_retriever.config.base import Section
from trace_retriever.config.teacher import TeacherParams


class CoarseParams(Section):
    """Bounds of the rules; lengths are in words and punctuation marks.

    The paper's lengths: reasoning 16 to 256, answer 2 to 64.
    """

    reasoning_min: int = Field(3, ge=1, description="Shortest reasoning; 16 for free text.")
    reasoning_max: int = Field(256, ge=1, description="Longest reasoning.")
    answer_min: int = Field(2, ge=1, description="Shortest answer.")
    answer_max: int = Field(64, ge=1, description="Longest answer.")
    repeat_ngram: int = Field(
        5, ge=1, description="Length of the word sequences whose repetition is looked for."
    )
    repeat_max: int = Field(2, ge=1, description="How often one such sequence may occur.")
    foreign_share: float = Field(
        0.05, ge=0, le=1, description="Most letters that may be of another script than Latin."
    )

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.reasoning_min > self.reasoning_max or self.answer_min > self.answer_max:
            raise ValueError("a least length is above its greatest")
        return self


class RankParams(Section):
    """The offline verifier: does the trace raise the target's rank over hard distractors?"""

    distractors: int = Field(20, ge=1, description="Hardest wrong candidates that the target competes with.")
    pool_limit: int = Field(
        20_000, ge=2, description="Candidates among which they are looked for; a larger pool is sampled."
    )
    temperature: float = Field(0.05, gt=0, description="Of the softmax over lexical similarities.")
    support: bool = Field(
        True,
        description="Whether confidence is weighed by how much of the answer the target's text bears out.",
    )


class FineParams(Section):
    """The fine filter: a verifier's decision and confidence."""

    verifier: Literal["rank", "teacher", "none"] = Field(
        "rank", description="rank: offline, needs texts of the candidates; teacher: asks the model set below."
    )
    min_confidence: float = Field(
        0.7, ge=0, le=1, description="A trace is kept when its confidence is above this."
    )
    rank: RankParams = RankParams()
    teacher: TeacherParams = TeacherParams()


class LeakageParams(Section):
    """How the overlap of answers with their targets is measured."""

    ngram: int = Field(2, ge=1, le=8, description="Length of the word sequences whose overlap is measured.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples of the queries.")


class FilterConfig(Section):
    """Which traces are kept for training."""

    coarse: CoarseParams = CoarseParams()
    fine: FineParams = FineParams()
    leakage: LeakageParams = LeakageParams()
    prompt_index: int = Field(
        0, ge=0, le=3, description="Which of a pair's four instructions a verifier is shown."
    )
    seed: int = Field(0, ge=0, description="Of bootstrap resampling and of sampled pools.")
