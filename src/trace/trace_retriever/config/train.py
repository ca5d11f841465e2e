"""Params of the step `train`."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trace_retriever.config.base import Section

Variant = Literal["trace", "encoder"]
Position = Literal["before_emb", "emb", "structure", "mean_trace", "mean_all"]
TracePart = Literal["full", "reasoning", "answer", "none"]
CandidateSide = Literal["raw", "answer", "full"]


class LossParams(Section):
    """The one-stage loss (paper, method): `lambda_gen` x CE + `lambda_ret` x InfoNCE."""

    lambda_gen: float = Field(
        1.0, ge=0, description="Weight of CE on trace and <|emb|> tokens (0 for an encoder)."
    )
    lambda_ret: float = Field(1.0, ge=0, description="Weight of InfoNCE at the state before <|emb|>.")
    temperature: float = Field(0.05, gt=0, le=1, description="InfoNCE temperature, or where it starts.")
    learn_temperature: bool = Field(False, description="Train the temperature (kept within 0.01 and 1).")
    direct_weight: float = Field(
        0.1, ge=0, description="Weight of a second InfoNCE at the prompt's last state of complex queries."
    )
    direct_start: float = Field(0.5, ge=0, le=1, description="Share of training after which it sets in.")


class SamplingParams(Section):
    """Task-aware sampling: which queries meet in a batch."""

    group: int = Field(
        4,
        ge=1,
        description="Neighbouring queries of one pair drawn together, as each other's hard negatives.",
    )
    alpha: float = Field(
        0.5, ge=0, le=1, description="A pair of n queries is drawn in proportion to n^alpha."
    )
    complex_share: float | None = Field(
        0.5, ge=0, le=1, description="Share of complex queries in a batch; null leaves it to alpha."
    )
    hard_negatives: int = Field(0, ge=0, description="Candidates of its neg_cand_list added for each query.")
    share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of train queries that is used, about: chosen by a hash of their ids.",
    )
    spared_prompts: int = Field(
        0, ge=0, description="How many of a pair's instructions, the last ones, training never shows."
    )


class AdaptParams(Section):
    """Which weights train. LoRA: the language model's linear layers and, in full, the projector."""

    tuning: Literal["full", "lora"] = Field(
        "full", description="All weights (tiny model), or LoRA (checkpoints)."
    )
    rank: int = Field(128, ge=1, description="LoRA rank (paper).")
    alpha: int = Field(256, ge=1, description="LoRA alpha (paper).")


class TrainValidation(Section):
    """Choosing the best weights, by what the model finds with the traces that it writes itself."""

    every: int = Field(300, ge=0, description="Updates between validations; 0 keeps the last weights.")
    queries: int = Field(24, ge=1, description="Val queries of each pair.")
    candidates: int = Field(200, ge=2, description="Size to which a pair's val pool is cut, positives kept.")
    batch_tokens: int = Field(8192, ge=256, description="Tokens of a batch while encoding.")


class TrainConfig(Section):
    """Training TRACE, or the encoder-only baseline of equal budget, with DeepSpeed."""

    seed: int = Field(1, ge=0, description="Seed of sampling and of new weights.")
    variant: Variant = Field("trace", description="TRACE, or a plain encoder without traces.")
    position: Position = Field(
        "before_emb", description="Where the embedding is read; all but the first are for ablations."
    )
    trace_part: TracePart = Field("full", description="What the model learns to write, of each trace.")
    candidates: CandidateSide = Field(
        "raw", description="What candidates write before their embedding; raw is nothing, as in the paper."
    )
    trace_as_text: bool = Field(
        False, description="Give an encoder each complex query's trace as a part of its text."
    )
    steps: int = Field(900, ge=1, description="Optimiser updates.")
    batch: int = Field(84, ge=2, description="Queries an update, over all processes.")
    lr: float = Field(1.5e-3, gt=0, description="Peak learning rate; 2e-4 for LoRA (paper).")
    warmup: int = Field(30, ge=0, description="Updates of linear warm-up; a cosine follows.")
    weight_decay: float = Field(0.05, ge=0, description="Of matrices; norms and biases have none.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="AdamW's betas.")
    clip: float = Field(1.0, gt=0, description="Global gradient norm.")
    loss: LossParams = LossParams()
    sampling: SamplingParams = SamplingParams()
    adapt: AdaptParams = AdaptParams()
    validation: TrainValidation = TrainValidation()
    processes: int = Field(2, ge=1, description="Training processes: one a GPU, or one a core.")
    threads: int = Field(1, ge=1, description="Computing threads of a process.")
    zero_stage: int = Field(
        0, ge=0, le=3, description="What ZeRO splits: 1 optimizer, 2 and gradients, 3 and weights."
    )
    bf16: bool = Field(False, description="Train in bfloat16.")
    gradient_checkpointing: bool = Field(False, description="Recompute activations, for less memory.")
    grad_cache_chunk: int = Field(
        0, ge=0, description="Rows of a chunk under gradient caching (ZeRO 0 to 2); 0 for one plain forward."
    )
    buckets: int = Field(4, ge=1, description="Parts of like length that a plain forward pads separately.")
    checkpoint_every: int = Field(100, ge=1, description="Updates between resumable checkpoints.")
    log_every: int = Field(10, ge=1, description="Updates between points of the curves.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.batch % self.processes:
            raise ValueError(f"batch ({self.batch}) must be a multiple of processes ({self.processes})")
        self._check_ablations()
        if self.grad_cache_chunk and self.zero_stage == 3:
            raise ValueError(
                "gradient caching (grad_cache_chunk) works under ZeRO 0 to 2: stage 3 frees the gathered "
                "weights between the two passes; set zero_stage to 2, or grad_cache_chunk to 0"
            )
        return self

    def _check_ablations(self) -> None:
        if self.position != "before_emb" and self.variant == "trace" and self.loss.direct_weight:
            raise ValueError(
                f"position ({self.position}) needs loss.direct_weight: 0, since the direct loss reads the "
                "state before <|emb|>"
            )
        if self.trace_as_text and self.variant != "encoder":
            raise ValueError("trace_as_text is for variant: encoder; a trace model writes its own")
        if self.candidates != "raw" and self.variant != "trace":
            raise ValueError(f"candidates ({self.candidates}) needs variant: trace; an encoder never writes")
        ablated = self.position != "before_emb" or self.candidates != "raw" or self.trace_as_text
        if ablated and self.validation.every:
            raise ValueError("ablations (position, candidates, trace_as_text) need validation.every: 0")
