from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trace_retriever.evaluation import systems

TABLE = pd.DataFrame(
    {
        "auto_route": ["simple", "complex", "complex"],
        "confidence": [0.0, -0.1, -2.0],
        "p_emb": [0.9, 0.25, 0.01],
    }
)
TRUE = np.array([True, True, False])
BOTH = np.array([[[1, 0], [0, 1]]] * 3, np.float32)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("auto", [False, True, True]),
        ("blend", [False, True, True]),
        ("never", [False, False, False]),
        ("encoder", [False, False, False]),
        ("always", [True, True, True]),
        ("oracle", [True, True, False]),
    ],
)
def test_who_reasons(system: str, expected: list[bool]) -> None:
    reasoning = systems.reasons(system, TABLE, TRUE)
    assert reasoning.tolist() == expected
    if system != "blend":
        found = systems.vectors(system, BOTH, reasoning)
        np.testing.assert_array_equal(found, BOTH[np.arange(3), reasoning.astype(int)])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (0.0, [False, False, False]),
        (0.25, [False, False, True]),
        (0.5, [False, True, True]),
        (2.0, [True, True, True]),
        (None, [False, True, True]),
    ],
)
def test_a_query_whose_probability_reaches_the_threshold_does_not_reason(
    threshold: float | None, expected: list[bool]
) -> None:
    found = systems.reasons("budget", TABLE, None, systems.Routing(threshold))
    assert found.tolist() == expected


def test_the_budget_needs_its_threshold() -> None:
    with pytest.raises(ValueError, match="budget"):
        systems.reasons("budget", TABLE, None)


def test_the_oracle_needs_the_truth() -> None:
    with pytest.raises(ValueError, match="oracle"):
        systems.reasons("oracle", TABLE, None)


def test_the_blend_weighs_by_confidence_and_keeps_unit_length() -> None:
    blend = systems.Blend(low=0.5, high=0.8, threshold=-1.0)
    reasoning = systems.reasons("blend", TABLE, None)
    found = systems.vectors("blend", BOTH, reasoning, TABLE["confidence"], blend)
    expected = np.array([[1, 0], [0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


def test_the_default_blend_is_auto() -> None:
    reasoning = systems.reasons("auto", TABLE, None)
    blended = systems.vectors("blend", BOTH, reasoning, TABLE["confidence"], systems.Blend())
    np.testing.assert_array_equal(blended, systems.vectors("auto", BOTH, reasoning))


@pytest.mark.parametrize(
    ("reasons", "truth", "chosen", "expected"),
    [
        (["always", "auto", "never"], True, True, ["auto", "never", "always", "oracle", "blend", "budget"]),
        (["auto", "never"], True, False, ["auto", "never"]),
        (["auto", "never"], True, True, ["auto", "never", "blend"]),
        (["never"], True, True, ["never"]),
        (["always", "auto", "never"], False, False, ["auto", "never", "always"]),
    ],
)
def test_only_what_was_embedded_can_be_compared(
    reasons: list[str], truth: bool, chosen: bool, expected: list[str]
) -> None:
    store: Any = SimpleNamespace(about={"reasons": reasons})
    found = systems.Chosen(systems.Blend(), systems.Routing()) if chosen else systems.Chosen()
    assert systems.available(store, truth=truth, chosen=found) == expected
