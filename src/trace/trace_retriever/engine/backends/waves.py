"""Reason, then encode, on a server that only generates: the engine's rules in two or three waves of requests.

1. Every prompt, one token: its state is the direct vector, the token and P(`<|emb|>`) decide the route.
2. Rows that are to reason though `<|emb|>` came first: their best other token.
3. Rows that reason, prompt and first token: written on until `<|emb|>`, another special token or the limit.
   The state that chose the last token is the reasoned vector (paper, the "pre-token" position).

The server's prefix cache makes the second and third prefill cheap; the engine of this package has none.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tqdm import tqdm

from trace_retriever.engine.choose import special_ids
from trace_retriever.engine.encoded import Encoded, Reason, Vector
from trace_retriever.engine.plan import windows
from trace_retriever.engine.prompts import Prompt, plan_prompts
from trace_retriever.engine.rows import Row
from trace_retriever.errors import TraceError
from trace_retriever.io.progress import bar
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import normalise
from trace_retriever.model.items import Item

WINDOW = 1024  # items whose requests a server is given at once


@dataclass(frozen=True, kw_only=True)
class Request:
    """Greedy decoding after a prompt.

    Attributes:
        prompt: with its picture; its `ids` hold a placeholder for each of the picture's tokens.
        written: tokens of the trace so far.
        limit: tokens to write at most.
        stops: tokens that end the writing, and are the last one then.
        watched: a token whose probability in the first place is asked for.
        banned: a token that is not to be chosen; for requests of one token.
    """

    prompt: Prompt
    written: tuple[int, ...] = ()
    limit: int = 1
    stops: tuple[int, ...] = ()
    watched: int | None = None
    banned: int | None = None


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a server answers.

    Attributes:
        tokens: those written, at least one.
        logprobs: their natural log-probabilities under the whole vocabulary.
        state_H: the state, after the final norm, that chose the last token, float32.
        watched: natural log-probability of the watched token in the first place.
    """

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    state_H: torch.Tensor  # noqa: N815 - shape suffixes
    watched: float = -math.inf


class Client(Protocol):
    """A server in this process."""

    def generate(self, requests: Sequence[Request]) -> list[Response]:
        """Answers in the order of the requests."""


class Waves:
    """A `Backend` on a client that generates.

    Args:
        frame: how the model is prompted and read.
        client: runs the network.
        max_trace_tokens, route_threshold: as for `Engine`. There is no time limit here.
    """

    def __init__(
        self,
        frame: TraceModel,
        client: Client,
        *,
        max_trace_tokens: int | None = None,
        route_threshold: float | None = None,
    ) -> None:
        self.frame, self.client = frame, client
        self.limit = max_trace_tokens or frame.settings.max_trace_tokens
        self.threshold = route_threshold
        self._special = special_ids(frame)

    def encode(
        self, items: Sequence[Item], *, reason: Reason = "auto", what: str | None = None
    ) -> Iterator[Encoded]:
        """See `Engine.encode`."""
        shown: tqdm[Any] | None = None if what is None else bar(what, total=len(items), unit="item")
        with nullcontext() if shown is None else shown, ThreadPoolExecutor(2) as pool:
            for window in windows(len(items), WINDOW):
                prompts = plan_prompts(self.frame, [items[number] for number in window], pool)
                yield from self._window(prompts, reason)
                if shown is not None:
                    shown.update(len(window))

    def _window(self, prompts: Sequence[Prompt], reason: Reason) -> list[Encoded]:
        rows, tokens, logprobs = self._first(prompts)
        chosen = [number for number, row in enumerate(rows) if reasons(row, reason)]
        again = [number for number in chosen if tokens[number] == self.frame.emb_id]
        others = self._ask([Request(prompt=prompts[number], banned=self.frame.emb_id) for number in again])
        for number, other in zip(again, others, strict=True):
            tokens[number], logprobs[number] = other.tokens[0], other.logprobs[0]
        done = {n: row.encoded("", None, row.direct) for n, row in enumerate(rows) if n not in set(chosen)}
        going: list[int] = []
        for number in chosen:
            row = rows[number]
            if ending := row.ending(tokens[number], self.frame.emb_id, self._special):
                done[number] = row.encoded("", ending, row.direct)
            else:
                row.write(tokens[number], logprobs[number])
                going.append(number)
        asked = [self._onward(prompts[number], rows[number]) for number in going]
        for number, response in zip(going, self._ask(asked), strict=True):
            done[number] = self._finish(rows[number], response)
        return [done[number] for number in range(len(prompts))]

    def _first(self, prompts: Sequence[Prompt]) -> tuple[list[Row], list[int], list[float]]:
        """The first wave: rows with route and direct vector, their first tokens and log-probabilities."""
        emb_id = self.frame.emb_id
        found = self._ask([Request(prompt=prompt, watched=emb_id) for prompt in prompts])
        rows = []
        for number, (prompt, response) in enumerate(zip(prompts, found, strict=True)):
            p_emb = math.exp(response.watched)
            at_once = response.tokens[0] == emb_id if self.threshold is None else p_emb >= self.threshold
            row = Row(
                ticket=number,
                direct=unit(response.state_H),
                route="simple" if at_once else "complex",
                p_emb=p_emb,
                limit=self.limit,
                deadline=math.inf,
                length=len(prompt.ids),
                position=0,
            )
            rows.append(row)
        return rows, [one.tokens[0] for one in found], [one.logprobs[0] for one in found]

    def _onward(self, prompt: Prompt, row: Row) -> Request:
        """Write on: a limit's worth of tokens, the last of which only shows how the trace ends."""
        stops = (self.frame.emb_id, *sorted(self._special))
        return Request(prompt=prompt, written=tuple(row.tokens), limit=row.limit, stops=stops)

    def _finish(self, row: Row, response: Response) -> Encoded:
        *written, last = zip(response.tokens, response.logprobs, strict=True)
        for token, logprob in written:
            if row.ending(token, self.frame.emb_id, self._special):
                raise TraceError(f"the backend wrote on after token {token}, which ends a trace")
            row.write(token, logprob)
        ending = row.ending(last[0], self.frame.emb_id, self._special)
        if ending is None:
            raise TraceError(
                f"the backend stopped after {len(row.tokens) + 1} tokens of a trace of at most {row.limit}",
                remedy="give it room for prompt and trace (sglang: context_length, vllm: max_model_len)",
            )
        return row.encoded(self.frame.trace_text(row.tokens), ending, unit(response.state_H))

    def _ask(self, requests: Sequence[Request]) -> list[Response]:
        return self.client.generate(requests) if requests else []


def reasons(row: Row, reason: Reason) -> bool:
    """Whether a row writes a trace."""
    return reason == "always" or (reason == "auto" and row.route == "complex")


def unit(state_H: torch.Tensor) -> Vector:
    """A state as a float32 vector of unit length."""
    vector: Vector = normalise(state_H).cpu().numpy()
    return vector
