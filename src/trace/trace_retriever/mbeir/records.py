"""M-BEIR's records and identifiers (UniIR, arXiv 2311.17136), and the traces that TRACE adds to them."""

from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

QUERY_ID_SPACE = 500_000
CANDIDATE_ID_SPACE = 10_000_000


class Modality(StrEnum):
    """What a query or candidate consists of."""

    TEXT = "text"
    IMAGE = "image"
    BOTH = "image,text"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def check_id(value: str, space: int) -> str:
    """Check an id `dataset:number`: both are natural numbers, the number below `space`."""
    dataset, colon, number = value.partition(":")
    if not colon or not (dataset.isdecimal() and number.isdecimal() and value.isascii()):
        raise ValueError("an id is 'dataset:number'")
    if int(number) >= space:
        raise ValueError(f"the number of an id is below {space:,}")
    return value


def _check_modality(modality: Modality, text: str | None, image: str | None) -> None:
    has = {Modality.TEXT: (True, False), Modality.IMAGE: (False, True), Modality.BOTH: (True, True)}[modality]
    if (bool(text), bool(image)) != has:
        raise ValueError(f"modality is {modality.value!r} but text is {text!r} and image is {image!r}")


class Query(_Record):
    """One line of `query/<split>/mbeir_<dataset>_<task>_<split>.jsonl`."""

    qid: str
    query_txt: str | None
    query_img_path: str | None
    query_modality: Modality
    query_src_content: str | None = None
    pos_cand_list: list[str] = Field(min_length=1)
    neg_cand_list: list[str] = []
    task_id: int = Field(ge=0, le=8)

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_id(self.qid, QUERY_ID_SPACE)
        for did in (*self.pos_cand_list, *self.neg_cand_list):
            check_id(did, CANDIDATE_ID_SPACE)
        _check_modality(self.query_modality, self.query_txt, self.query_img_path)
        return self


class Candidate(_Record):
    """One line of a candidate pool, `cand_pool/{local,global}/mbeir_<...>_cand_pool.jsonl`."""

    did: str
    txt: str | None
    img_path: str | None
    modality: Modality
    src_content: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_id(self.did, CANDIDATE_ID_SPACE)
        _check_modality(self.modality, self.txt, self.img_path)
        return self


class Trace(_Record):
    """One line of `traces.jsonl` or `kept.jsonl`: what a teacher wrote for one complex training query.

    Attributes:
        pair: the query's pair, such as `mojihop_task1`.
        reasoning, answer: the two parts of the structured trace (paper, section on M-BEIR-CoT).
        teacher: which teacher wrote it, and whether it saw the target.
        confidence: the fine filter's confidence that the trace is consistent; None before it.
    """

    qid: str
    pair: str
    reasoning: str
    answer: str
    teacher: str
    sees_target: bool
    confidence: float | None = None

    @property
    def text(self) -> str:
        """What the model learns to write: the two parts without their tags."""
        return f"{self.reasoning} {self.answer}".strip()

    def part(self, name: Literal["full", "reasoning", "answer", "none"]) -> str:
        """The whole text, one of its parts, or nothing."""
        return {"full": self.text, "reasoning": self.reasoning, "answer": self.answer, "none": ""}[name]


class CandidateTrace(_Record):
    """One line of `candidates.jsonl` beside kept traces: what a candidate writes before its embedding."""

    did: str
    reasoning: str
    answer: str

    def part(self, name: Literal["full", "answer"]) -> str:
        """The whole text, or the answer alone."""
        return self.answer if name == "answer" else f"{self.reasoning} {self.answer}".strip()


class Truth(_Record):
    """One line of `truth/<split>.jsonl`, which only a made benchmark has: what a perfect reasoner writes.

    Nothing here is ever shown to the model that is trained; the `scene` teacher and the evaluation read it.

    Attributes:
        route: whether the query needs reasoning.
        reasoning, answer: the true trace; empty for a simple query.
        held_out: which combinations of it appear in test only, such as `operations:move+swap`.
    """

    qid: str
    pair: str
    route: Literal["simple", "complex"]
    reasoning: str = ""
    answer: str = ""
    held_out: list[str] = []

    @property
    def text(self) -> str:
        """The whole true trace, as `Trace.text`."""
        return f"{self.reasoning} {self.answer}".strip()
