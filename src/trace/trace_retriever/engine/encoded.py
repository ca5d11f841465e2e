"""What encoding one item gives: the direct and the reasoned vector, the route, and how the trace came out."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Route = Literal["simple", "complex"]
Reason = Literal["auto", "never", "always"]
Fallback = Literal["", "garbage", "time"]
Vector = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """One encoded item. Vectors have D = hidden size entries and unit length.

    Attributes:
        direct: normalised state at the prompt's last token, float32 [D].
        reasoned: normalised state at the trace's last token, the one before `<|emb|>` (paper, "pre-token"
            position); `direct` itself when no trace was decoded or the trace was given up.
        route: what `auto` decides: "simple" if `<|emb|>` is the model's most probable first token or, where
            a threshold is set, if its probability reaches it.
        p_emb: probability of `<|emb|>` as the first token.
        trace: the decoded trace, "" without one; `trace_ids` are its tokens.
        truncated: the token limit was reached, and the vector latched without `<|emb|>` being predicted.
        fallback: why a trace was given up for the direct vector: "garbage" if the model wrote a special token
            that is not `<|emb|>` (the end of its turn, say), "time" if the time limit passed; else "".
        confidence, min_logprob: mean and least natural log-probability of the trace's tokens; 0 without one.
    """

    direct: Vector
    reasoned: Vector
    route: Route
    p_emb: float
    trace: str = ""
    trace_ids: tuple[int, ...] = ()
    truncated: bool = False
    fallback: Fallback = ""
    confidence: float = 0.0
    min_logprob: float = 0.0

    @property
    def trace_tokens(self) -> int:
        """How many tokens the trace has, `<|emb|>` not counted."""
        return len(self.trace_ids)

    def vector(self, reason: Reason) -> Vector:
        """The item's embedding under a mode, provided that it was encoded with that mode or with "always"."""
        if reason == "auto":
            return self.reasoned if self.route == "complex" else self.direct
        return self.reasoned if reason == "always" else self.direct
