"""Which rows are computed when: prompts come in by batches, each row leaves as soon as it is done.

What reasons is decided by the prompt's own forward. Rows that reason share a cache of slots in which a step
computes only rows that still write; the embedding is the state that a row has when it chooses `<|emb|>`
(paper, the "pre-token" position), so no list of states is kept and no second forward is made.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from trace_retriever.engine.choose import choose, special_ids
from trace_retriever.engine.counters import Counters
from trace_retriever.engine.encoded import Encoded, Reason, Vector
from trace_retriever.engine.graphs import GraphedStep
from trace_retriever.engine.language import LanguageStep
from trace_retriever.engine.prefill import Prefilled, prefill
from trace_retriever.engine.prompt_pass import PromptPass
from trace_retriever.engine.prompts import Prompt
from trace_retriever.engine.rows import Ending, Row, Ticket
from trace_retriever.engine.slots import Slots
from trace_retriever.engine.vision import VisionCache
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import normalise

Done = list[tuple[Ticket, Encoded]]
Waiting = tuple[Row, torch.Tensor, int]  # a row, its batch's keys and values, and where it is in them


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What bounds a trace, and what decides that there is one; see `Engine`."""

    trace_tokens: int
    route_threshold: float | None = None
    seconds: float | None = None


class Scheduler:
    """Admits batches of prompts and writes traces a token a step; not for several threads at a time.

    Args:
        model: the model; put into evaluation mode while it works.
        limits: of each trace.
        slots: rows that write at a time.
        vision_bytes: memory for features of pictures that may come again.

    Attributes:
        language: the decoding step, for `graph` to be given a captured one of.
    """

    def __init__(
        self, model: TraceModel, limits: Limits, *, slots: int, vision_bytes: int = 256 << 20
    ) -> None:
        self.model, self.limits = model, limits
        self.counters = Counters()
        self.vision = VisionCache(model, self.counters, vision_bytes)
        positions = model.settings.max_prompt_tokens + limits.trace_tokens + 1
        self.language = LanguageStep(model.network, positions)
        self._prompts = PromptPass(model.network)
        self._graphed: GraphedStep | None = None
        text = model.config.get_text_config()
        self._slots = Slots(text, slots, dtype=self.language.dtype, device=model.device)
        self._waiting: deque[Waiting] = deque()
        self._special = special_ids(model)

    @property
    def busy(self) -> bool:
        """Whether a row is writing or waits to."""
        return bool(self._slots.rows or self._waiting)

    @property
    def full(self) -> bool:
        """Whether another batch of prompts would have to wait."""
        return bool(self._waiting) or not self._slots.free

    def graph(self, step: GraphedStep) -> None:
        """Take decoding steps from captured graphs from now on."""
        self._graphed = step

    def clear(self) -> None:
        """Forget the rows that are not done."""
        self._waiting.clear()
        self._slots.rows.clear()

    def admit(self, tickets: Sequence[Ticket], prompts: Sequence[Prompt], reason: Reason) -> Done:
        """Run a batch of prompts; rows that reason wait for a slot.

        Args:
            tickets: what the results are told apart by.
            prompts: at least one.
            reason: as for `Engine.encode`.

        Returns:
            The rows that are done at once.

        Raises:
            CheckpointError: the model's states are not finite.
        """
        with self._evaluating():
            start = prefill(
                self.model,
                self._prompts,
                self.vision,
                prompts,
                self.counters,
                keep_cache=reason != "never",
            )
        tokens_B, logprobs_B = choose(start.logits_BV, banned=self.model.emb_id)
        first = zip(self._rows(tickets, start), tokens_B.tolist(), logprobs_B.tolist(), strict=True)
        done: Done = []
        for number, (row, token, logprob) in enumerate(first):
            if reason == "never" or (reason == "auto" and row.route == "simple"):
                done.append(self._finish(row, None, row.direct))
            elif ending := row.ending(token, self.model.emb_id, self._special):
                done.append(self._finish(row, ending, row.direct))
            else:
                assert start.cache is not None
                row.write(token, logprob)
                self._waiting.append((row, start.cache, number))
        return done

    def _rows(self, tickets: Sequence[Ticket], start: Prefilled) -> list[Row]:
        """The batch's rows, routed: by the most probable first token, or by the threshold if there is one."""
        probability_B = start.logits_BV.softmax(-1)[:, self.model.emb_id]
        threshold = self.limits.route_threshold
        at_once_B = start.logits_BV.argmax(-1) == self.model.emb_id
        if threshold is not None:
            at_once_B = probability_B >= threshold
        deadline = time.monotonic() + (self.limits.seconds or float("inf"))
        columns = (tickets, unit_vectors(start.states_BH), at_once_B.tolist(), probability_B.tolist())
        return [
            Row(
                ticket=ticket,
                direct=direct,
                route="simple" if at_once else "complex",
                p_emb=p_emb,
                limit=self.limits.trace_tokens,
                deadline=deadline,
                length=length,
                position=position,
            )
            for ticket, direct, at_once, p_emb, length, position in zip(
                *columns, start.lengths, start.positions, strict=True
            )
        ]

    @torch.inference_mode()
    def step(self) -> Done:
        """Write one token a row; rows that wait are put into free slots first.

        Returns:
            The rows that are done now.
        """
        self._fill()
        rows = self._slots.rows
        if not rows:
            return []
        with self._evaluating():
            states_NH, chosen = self._advance(rows)
        ended: list[tuple[int, Ending]] = []
        for slot, (row, (token, logprob)) in enumerate(zip(rows, chosen, strict=True)):
            if ending := row.ending(token, self.model.emb_id, self._special):
                ended.append((slot, ending))
            else:
                row.write(token, logprob)
        if not ended:
            return []
        slots = [slot for slot, _ in ended]
        vectors = unit_vectors(states_NH[slots])
        done = [
            self._finish(rows[slot], how, vector) for (slot, how), vector in zip(ended, vectors, strict=True)
        ]
        self._slots.drop(slots)
        return done

    def _fill(self) -> None:
        """Move rows that wait into free slots, those of one batch together."""
        while self._waiting and self._slots.free:
            cache = self._waiting[0][1]
            rows: list[Row] = []
            sources: list[int] = []
            while self._waiting and self._waiting[0][1] is cache and len(rows) < self._slots.free:
                row, _, source = self._waiting.popleft()
                rows.append(row)
                sources.append(source)
            self._slots.take(rows, cache, sources)

    def _advance(self, rows: Sequence[Row]) -> tuple[torch.Tensor, list[tuple[int, float]]]:
        """Feed each row's last token: the states [N, H], and what each row chooses next."""
        fed_N3 = np.array([(row.tokens[-1], row.position, row.length) for row in rows])
        fed_3N = torch.from_numpy(np.ascontiguousarray(fed_N3.T)).to(self.model.device)
        longest = max(row.length for row in rows) + 1
        step = self._graphed or self.language
        states_NH, tokens_N, logprobs_N = step(fed_3N, self._slots.cache, longest)
        graphed = self._graphed and self._graphed.rows(len(rows), self._slots.size)
        self.counters.decode_steps += 1
        self.counters.decode_row_steps += graphed or len(rows)
        self.counters.needed_row_steps += len(rows)
        for row in rows:
            row.length += 1
            row.position += 1
        # One transfer; token numbers are exact in float64.
        tokens, logprobs = torch.stack([tokens_N.double(), logprobs_N.double()]).tolist()
        return states_NH, list(zip(map(int, tokens), logprobs, strict=True))

    def _finish(self, row: Row, ending: Ending | None, vector: Vector) -> tuple[Ticket, Encoded]:
        self.counters.items += 1
        self.counters.truncated += ending == "limit"
        self.counters.garbage += ending == "garbage"
        self.counters.late += ending == "time"
        text = self.model.trace_text(row.tokens) if row.tokens else ""
        return row.ticket, row.encoded(text, ending, vector)

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The network in evaluation mode, and then as it was (to go through its modules takes a while)."""
        if not self.model.network.training:
            yield
            return
        self.model.network.eval()
        try:
            yield
        finally:
            self.model.network.train()


def unit_vectors(states_NH: torch.Tensor) -> Vector:
    """States as float32 rows of unit length."""
    vectors: Vector = normalise(states_NH).cpu().numpy()
    return vectors
