"""The rules of a rollout as types."""

import pytest
from pydantic import ValidationError
from tests.conftest import ROOT

from trace_retriever.config.promotion import load_promotion
from trace_retriever.config.rollout import RolloutRules


def test_the_committed_rules_are_the_defaults_written_out() -> None:
    assert load_promotion(ROOT / "deploy/promotion.yaml").rollout == RolloutRules()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"steps": [50, 5]}', "must rise"),
        ('{"steps": [5, 5]}', "must rise"),
        ('{"steps": [0, 5]}', "at least 1"),
        ('{"steps": [100]}', "at most 99"),
        ('{"steps": []}', "at least 1 item"),
        ('{"step_seconds": 10, "max_step_seconds": 5}', "shorter than"),
        ('{"confidence": 0.99, "alarm_confidence": 0.9}', "must not be below"),
        ('{"max_eror_increase": 0.1}', "Extra inputs"),
        ('{"min_requests": "300"}', "valid integer"),
    ],
)
def test_rules_that_make_no_sense_are_refused(content: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RolloutRules.model_validate_json(content)
