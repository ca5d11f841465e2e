import pytest

from trace_retriever.errors import DataError, GateFailed, ImageError, TraceError, ValidationFailed


def test_a_message_has_problem_place_and_remedy() -> None:
    error = DataError("no such pool", where="pool.jsonl:3", remedy="restore it")
    assert str(error).splitlines() == ["no such pool", "  where:  pool.jsonl:3", "  remedy: restore it"]


def test_a_message_leaves_out_what_is_not_known() -> None:
    assert str(TraceError("no")) == "no"


@pytest.mark.parametrize("kind", [ValidationFailed, GateFailed])
def test_a_refusal_has_its_own_exit_code_and_keeps_its_metrics(kind: type[GateFailed]) -> None:
    error = kind("too low", metrics={"x": 1.0})
    assert error.exit_code == 3
    assert error.metrics == {"x": 1.0}


def test_a_picture_error_is_a_data_error() -> None:
    assert issubclass(ImageError, DataError)
    assert ImageError("no").exit_code == 1
