"""Params of the step `backbone`."""

from typing import Literal

from pydantic import Field

from trace_retriever.config.base import Section


class TinySize(Section):
    """Shape of the tiny Qwen2.5-VL; about a million parameters."""

    hidden: int = Field(128, ge=16, description="Hidden size of the language model.")
    layers: int = Field(4, ge=1, description="Layers of the language model.")
    heads: int = Field(4, ge=1, description="Attention heads; half as many for keys and values.")
    mlp: int = Field(256, ge=16, description="Width of the language model's MLP.")
    vision_hidden: int = Field(64, ge=16, description="Hidden size of the vision tower.")
    vision_layers: int = Field(2, ge=1, description="Layers of the vision tower.")
    vision_heads: int = Field(2, ge=1, description="Attention heads of the vision tower.")
    vision_mlp: int = Field(128, ge=16, description="Width of the vision tower's MLP.")
    patch: int = Field(8, ge=2, description="Side of a patch in pixels; a token is two by two patches.")
    max_trace_tokens: int = Field(64, ge=4, description="Where a trace that does not end is cut.")


class Pretraining(Section):
    """Generative pre-training that gives the tiny model eyes and words."""

    steps: int = Field(2400, ge=1, description="Optimiser steps.")
    words_first: float = Field(
        0.15, ge=0, le=1, description="Share of steps, at first, on words alone: copying and facts."
    )
    batch: int = Field(64, ge=2, description="Rows a step, over all processes.")
    lr: float = Field(2e-3, gt=0, description="Peak learning rate.")
    warmup: int = Field(50, ge=0, description="Steps of linear warm-up.")
    processes: int = Field(2, ge=1, description="Training processes.")
    name_weight: float = Field(
        3.0, gt=0, description="Weight of pictures' names in the loss; other words have 1."
    )
    exam: int = Field(200, ge=1, description="Lessons of each kind, on val scenes, in the exam at the end.")
    checkpoint_every: int = Field(300, ge=1, description="Steps between resumable checkpoints.")
    min_recall: float = Field(
        0.8, ge=0, le=1, description="Share of exact look-ups below which the step refuses the backbone."
    )


class BackboneConfig(Section):
    """What TRACE starts from: a checkpoint on disk, or a tiny model pre-trained here."""

    source: Literal["tiny", "checkpoint"] = Field("tiny", description="Where the backbone comes from.")
    seed: int = Field(1, ge=0, description="Seed of weights and pre-training data.")
    checkpoint: str | None = Field(
        None, description="Directory of a Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint."
    )
    licences: tuple[str, ...] = Field(
        ("apache-2.0",), description="Licences accepted in a checkpoint's model card (its `license` field)."
    )
    max_prompt_tokens: int = Field(2048, ge=8, description="Longer prompts are cut (checkpoint only).")
    max_trace_tokens: int = Field(320, ge=4, description="Longer traces are cut (checkpoint only).")
    max_pixels: int = Field(501_760, ge=784, description="Pixel budget of a picture (checkpoint only).")
    tiny: TinySize = TinySize()
    pretraining: Pretraining = Pretraining()
