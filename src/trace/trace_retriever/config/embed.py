"""Params of the step `embed`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trace_retriever.config.base import Section


class EmbedConfig(Section):
    """Which pools and queries are encoded, and how."""

    splits: tuple[Literal["train", "val", "test"], ...] = Field(
        ("val", "test"), min_length=1, description="Splits whose queries and pools are encoded."
    )
    pairs: tuple[str, ...] = Field((), description="Pairs to encode, such as cirr_task7; none means all.")
    global_pool: bool = Field(True, description="Encode the union pool of each split too.")
    prompt_index: int = Field(0, ge=0, le=3, description="Which of a pair's instructions queries carry.")
    reason: Literal["always", "auto", "never"] = Field(
        "always",
        description="Which queries write a trace. With `always`, one pass serves every mode. "
        "An encoder-only model never does, whatever is set here.",
    )
    max_trace_tokens: int | None = Field(
        None, ge=1, description="Where a trace is cut; by default the model's own limit."
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        description="Time after which a trace is given up for the direct vector. "
        "Results then depend on the clock.",
    )
    slots: int = Field(64, ge=1, description="Queries that write their traces at a time.")
    batch_tokens: int = Field(8192, ge=64, description="Tokens of a batch of prompts, padding included.")
    workers: int = Field(2, ge=1, description="Threads that read pictures.")
    chunk: int = Field(
        2048, ge=1, description="Items that are encoded and saved together; a kill loses one chunk at most."
    )
    shard_rows: int = Field(
        16384,
        ge=1,
        description="Items of one file of vectors. Processes that share the work claim a file at a time.",
    )
    store_dtype: Literal["float16", "float32"] = Field("float16", description="Type of the stored vectors.")
    part: str | None = Field(
        None,
        pattern=r"^\d+/[1-9]\d*$",
        description="Encode one part only, such as 0/4: the first of four. "
        "For machines without a common disk; "
        "`--previous` puts the parts together.",
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?)$", description="Where the model runs.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Type of the weights in memory.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        own, count = self.split_part
        if own >= count:
            raise ValueError(f"part {self.part} is none of {count}: the first is 0/{count}")
        return self

    @property
    def split_part(self) -> tuple[int, int]:
        """The number of the part, from 0, and how many parts there are."""
        own, _, count = (self.part or "0/1").partition("/")
        return int(own), int(count)
