"""A trace while it is written: when it ends, how, and what then comes out.

The cut at the token limit forces `<|emb|>` (flagged); a special token or the time limit give the trace up for
the direct vector (flagged too).
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal

from trace_retriever.engine.encoded import Encoded, Route, Vector

Ticket = Hashable
Ending = Literal["embedding", "limit", "garbage", "time"]


@dataclass(kw_only=True)
class Row:
    """A prompt after its forward, and the trace that goes on from it.

    Attributes:
        ticket: what the result is told apart by.
        direct, route, p_emb: as in `Encoded`.
        limit: the most tokens that the trace may have.
        deadline: the time (`time.monotonic`) after which it is given up.
        length: positions that the row's cache holds.
        position: the M-RoPE position of the next token to be fed.
        tokens, logprobs: what was written; the last token is not fed yet.
    """

    ticket: Ticket
    direct: Vector
    route: Route
    p_emb: float
    limit: int
    deadline: float
    length: int
    position: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def write(self, token: int, logprob: float) -> None:
        """Take the token that was chosen next."""
        self.tokens.append(token)
        self.logprobs.append(logprob)

    def ending(self, token: int, emb_id: int, special: frozenset[int]) -> Ending | None:
        """How the trace ends if this is the token chosen next; None if it goes on."""
        if token == emb_id:
            return "embedding"
        if len(self.tokens) == self.limit:
            return "limit"
        if token in special:
            return "garbage"
        return "time" if time.monotonic() > self.deadline else None

    def encoded(self, text: str, ending: Ending | None, vector: Vector) -> Encoded:
        """What comes out.

        Args:
            text: the words of the trace's tokens.
            ending: how the trace ended; None without one.
            vector: the unit vector of the state at its last token.
        """
        logprobs = self.logprobs or [0.0]
        return Encoded(
            direct=self.direct,
            reasoned=vector if ending in ("embedding", "limit") else self.direct,
            route=self.route,
            p_emb=self.p_emb,
            trace=text,
            trace_ids=tuple(self.tokens),
            truncated=ending == "limit",
            fallback=ending if ending in ("garbage", "time") else "",
            confidence=sum(logprobs) / len(logprobs),
            min_logprob=min(logprobs),
        )
