"""The ways of using one model that are compared: which of a query's two vectors is searched with.

`auto` follows the model's own route, `oracle` the true one, `never` and `always` none; `budget` holds
P(`<|emb|>`) against a threshold, and `blend` mixes the two vectors where `auto` reasons: both are chosen on
another split. `encoder` is a model that never reasons.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trace_retriever.store.embeddings import Embeddings
from trace_retriever.store.matrix import Vectors

if TYPE_CHECKING:
    import pandas as pd

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Blend:
    """Weights of the reasoned vector, for traces of low and of high confidence.

    Attributes:
        low, high: weight of the reasoned vector (1 is `auto`) where the trace's confidence is below or not
            below `threshold`.
    """

    low: float = 1.0
    high: float = 1.0
    threshold: float = -np.inf

    def weights(self, confidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weight of each query's reasoned vector, [Q]."""
        return np.where(confidence < self.threshold, self.low, self.high)


@dataclass(frozen=True)
class Routing:
    """When a query reasons.

    Attributes:
        threshold: a query is embedded at once if its P(`<|emb|>`) reaches this; None leaves it to the model's
            most probable first token.
    """

    threshold: float | None = None

    def reasons(self, table: "pd.DataFrame") -> Flags:
        """Which queries reason, [Q], from their `p_emb` and `auto_route`."""
        if self.threshold is None:
            return (table["auto_route"] == "complex").to_numpy()
        return table["p_emb"].to_numpy(np.float64) < self.threshold


@dataclass(frozen=True)
class Chosen:
    """What another split chose for the systems `blend` and `budget`; None where it could not."""

    blend: Blend | None = None
    routing: Routing | None = None


def available(embeddings: Embeddings, *, truth: bool, chosen: Chosen) -> list[str]:
    """The systems that an embeddings directory allows.

    Args:
        embeddings: made with one of the modes `always`, `auto`, `never`.
        truth: whether the true routes are known.
        chosen: what another split chose.
    """
    reasons = embeddings.about["reasons"]
    wanted = {
        "auto": "auto" in reasons,
        "never": True,
        "always": "always" in reasons,
        "oracle": "always" in reasons and truth,
        "blend": "auto" in reasons and chosen.blend is not None,
        "budget": "always" in reasons and chosen.routing is not None,
    }
    return [name for name, possible in wanted.items() if possible]


def reasons(
    system: str, table: "pd.DataFrame", true_complex: Flags | None, routing: Routing | None = None
) -> Flags:
    """Which queries a system embeds by their reasoned vector, [Q].

    Args:
        system: its name.
        table: the queries' rows of the embeddings' table.
        true_complex: the true routes, for `oracle`.
        routing: for `budget`.
    """
    if system in ("never", "encoder"):
        return np.zeros(len(table), dtype=bool)
    if system == "always":
        return np.ones(len(table), dtype=bool)
    if system == "oracle":
        if true_complex is None:
            raise ValueError("the system 'oracle' needs the true routes")
        return true_complex
    if system == "budget":
        if routing is None:
            raise ValueError("the system 'budget' needs its routing")
        return routing.reasons(table)
    return Routing().reasons(table)


def vectors(
    system: str, both: Vectors, reasoning: Flags, confidence: Any = None, blend: Blend | None = None
) -> Vectors:
    """What each query is searched with, float32 [Q, D].

    Args:
        system: its name; matters for `blend` alone.
        both: direct and reasoned vectors [Q, 2, D].
        reasoning: which queries reason, [Q].
        confidence: mean log-probability of their traces [Q], for `blend`.
        blend: its weights.
    """
    weight = reasoning.astype(np.float64)
    if system == "blend":
        if blend is None:
            raise ValueError("the system 'blend' needs its weights")
        weight = weight * blend.weights(np.asarray(confidence))
    return mix(both, weight)


def mix(both: Vectors, weight_Q: NDArray[np.float64]) -> Vectors:
    """weight x reasoned + (1 - weight) x direct, at unit length; exactly one of them at weight 0 or 1."""
    share = weight_Q[:, None].astype(np.float32)
    mixed = (1 - share) * both[:, 0] + share * both[:, 1]
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    mixed = mixed / np.where(norms > 0, norms, 1)
    mixed[weight_Q == 0] = both[weight_Q == 0, 0]
    mixed[weight_Q == 1] = both[weight_Q == 1, 1]
    return mixed.astype(np.float32)
