"""Greedy decoding of traces in a batch: a row's state is latched when it predicts `<|emb|>`, or at the limit.

No list of hidden states is kept and no second forward is made: the embedding is the state that the decoding
itself computes at the token before `<|emb|>`. Shapes: N rows that decode, H hidden, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from trace_retriever.engine.prefill import Prefilled
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import logits

COMPACT_AT = 0.75  # share of rows still decoding below which finished ones are taken out of the batch


@dataclass(kw_only=True)
class Decoded:
    """A row's trace so far and, once latched, the state [H] that is its embedding."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    state: torch.Tensor | None = None
    truncated: bool = False


def decode(model: TraceModel, start: Prefilled, rows: Sequence[int], limit: int) -> list[Decoded]:
    """Decode the traces of some rows of a prefilled batch (whose cache is used up by it).

    `<|emb|>` is never the first token: a row is here because it reasons, by its own choice or made to.

    Args:
        model: the model that prefilled the batch.
        start: the batch.
        rows: which of its rows decode.
        limit: the most tokens a trace may have; a row that reaches it is latched as `truncated`.

    Returns:
        One `Decoded` for each of `rows`, in that order, all latched.
    """
    results = [Decoded() for _ in rows]
    if not rows:
        return results
    slots = _Slots(model, start, rows)
    for step in range(limit + 1):
        tokens_N, logprobs_N = _choose(model, slots.logits_NV, first=step == 0)
        for slot, (token, logprob) in enumerate(zip(tokens_N.tolist(), logprobs_N.tolist(), strict=True)):
            result = results[slots.owner[slot]]
            if result.state is not None:
                continue
            if token == model.emb_id or step == limit:
                result.state, result.truncated = slots.states_NH[slot].clone(), token != model.emb_id
            else:
                result.tokens.append(token)
                result.logprobs.append(logprob)
        unfinished = [slot for slot, owner in enumerate(slots.owner) if results[owner].state is None]
        if not unfinished:
            break
        if len(unfinished) < COMPACT_AT * len(slots.owner):
            slots.keep(unfinished)
            tokens_N = tokens_N[torch.tensor(unfinished, device=tokens_N.device)]
        slots.advance(tokens_N)
    return results


def _choose(model: TraceModel, logits_NV: torch.Tensor, *, first: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The most probable allowed token and its log-probability, the latter under the whole vocabulary."""
    logprobs_NV = logits_NV.log_softmax(-1)
    allowed_NV = logprobs_NV.clone()
    allowed_NV[:, placeholder_ids(model.config)] = -torch.inf
    if first:
        allowed_NV[:, model.emb_id] = -torch.inf
    tokens_N = allowed_NV.argmax(-1)
    return tokens_N, logprobs_NV.gather(-1, tokens_N[:, None])[:, 0]


def placeholder_ids(config: Any) -> list[int]:
    """Tokens that stand for pictures or films in a prompt: in a trace they would mean nothing."""
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    size = config.get_text_config().vocab_size
    ids = {getattr(config, name, None) for name in names}
    return sorted(i for i in ids if i is not None and i < size)


class _Slots:
    """The rows being decoded: their cache, mask and positions, kept in step with each other.

    Attributes:
        owner: for each slot, the index of its result.
        states_NH, logits_NV: the last token's state and what it predicts.
    """

    def __init__(self, model: TraceModel, start: Prefilled, rows: Sequence[int]) -> None:
        self.network: Any = model.network
        self.cache = start.cache
        self.owner = list(range(start.states_BH.shape[0]))
        self.states_NH, self.logits_NV = start.states_BH, start.logits_BV
        self.mask_NL, self.next_N = start.mask_BL, start.next_B
        self.keep(list(rows))
        self.owner = list(range(len(rows)))

    def keep(self, slots: list[int]) -> None:
        """Drop all other slots, and the columns that are then padding in every row."""
        self.owner = [self.owner[slot] for slot in slots]
        index = torch.tensor(slots, device=self.mask_NL.device)
        self.states_NH, self.logits_NV = self.states_NH[index], self.logits_NV[index]
        self.mask_NL, self.next_N = self.mask_NL[index], self.next_N[index]
        padding = int((self.mask_NL.cumsum(-1).amax(0) == 0).sum())
        self.mask_NL = self.mask_NL[:, padding:]
        for layer in self.cache.layers:
            layer.keys = layer.keys[index, :, padding:]
            layer.values = layer.values[index, :, padding:]

    def advance(self, tokens_N: torch.Tensor) -> None:
        """Feed one token a slot (finished slots too, whose result is not read)."""
        self.mask_NL = torch.cat([self.mask_NL, self.mask_NL.new_ones(len(self.owner), 1)], dim=1)
        self.states_NH = self.network.model.language_model(
            inputs_embeds=self.network.get_input_embeddings()(tokens_N[:, None]),
            attention_mask=self.mask_NL,
            position_ids=self.next_N[None, :, None].expand(3, -1, 1),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state[:, -1]
        self.logits_NV = logits(self.network, self.states_NH).float()
        self.next_N = self.next_N + 1
