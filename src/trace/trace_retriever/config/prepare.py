"""Params of the step `prepare`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class MbeirSource(Section):
    """An existing M-BEIR checkout, linked into place."""

    path: str | None = Field(
        None, description="Root of the checkout: the folder that holds query/ and cand_pool/."
    )
    pairs: tuple[str, ...] = Field(
        (), description="Pairs to link, such as mscoco_task0; none given takes all 16 official ones."
    )
    sample_records: int = Field(
        100, ge=1, description="Records at the head of each file whose schema and pictures are checked."
    )


class OpenmojiSource(Section):
    """The benchmark made from OpenMoji pictures."""

    seed: int = Field(1, ge=0, description="Seed of every draw.")
    pictures: int = Field(60, ge=12, description="How many OpenMoji pictures take part.")
    train_simple: int = Field(1200, ge=1, description="Train queries of a simple pair.")
    train_hops: int = Field(2500, ge=1, description="Train queries of the pair of two-hop questions.")
    train_relations: int = Field(
        6000, ge=1, description="Train queries of the pair about a thing beside another."
    )
    train_edits: int = Field(8000, ge=1, description="Train queries of each pair of composed edits.")
    val: int = Field(60, ge=1, description="Validation queries of a pair.")
    test: int = Field(200, ge=1, description="Test queries of a pair.")
    picture_pixels: int = Field(144, ge=24, description="Side of the square canvas; three cells a side.")
    held_out: float = Field(
        0.15, gt=0, lt=1, description="Share of operation pairs and relation chains that appear in test only."
    )


class PrepareConfig(Section):
    """Where the data set comes from."""

    source: Literal["openmoji", "mbeir"] = Field(
        "openmoji", description="openmoji: made here; mbeir: an existing checkout, linked and not copied."
    )
    mbeir: MbeirSource = MbeirSource()
    openmoji: OpenmojiSource = OpenmojiSource()
