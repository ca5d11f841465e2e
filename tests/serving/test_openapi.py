"""Schemathesis asks whatever the OpenAPI document allows, and what it forbids."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from tests.serving.running import Running

EXAMPLES = 12


def test_schemathesis_finds_nothing(running: Running) -> None:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    found: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(found) == 13
    for operation in found:
        _try(operation.as_strategy())


def _try(cases: Any) -> None:
    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate(timeout=60)

    check()
