import pytest

from trace_retriever.traces.parse import (
    MalformedError,
    Parts,
    parse_complexity,
    parse_consistency,
    parse_trace,
)


def test_a_trace_is_read_with_its_white_space_folded() -> None:
    text = "\n<reasoning>first\n  then</reasoning>\n<answer> a  dog </answer>\n"
    assert parse_trace(text) == Parts("first then", "a dog")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I cannot help with that.", "tag <reasoning> missing"),
        ("<reasoning>a</reasoning>", "tag <answer> missing"),
        ("<reasoning>a</reasoning><answer>b</answer><answer>c</answer>", "tag <answer> repeated"),
        ("<answer>b</answer><reasoning>a</reasoning>", "tags out of order"),
        ("Sure! <reasoning>a</reasoning><answer>b</answer>", "text outside the tags"),
        ("<reasoning> </reasoning><answer>b</answer>", "empty reasoning"),
        ("<reasoning>a</reasoning><answer></answer>", "empty answer"),
        ("", "tag <reasoning> missing"),
    ],
)
def test_garbage_has_a_countable_reason(text: str, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason):
        parse_trace(text)


def test_verdicts_are_read_bare_or_fenced() -> None:
    assert parse_complexity('{"complexity": "complex", "confidence": 1}').confidence == 1.0
    fenced = '```json\n{"decision": "inconsistent", "confidence": 0.8}\n```'
    assert parse_consistency(fenced).decision == "inconsistent"


@pytest.mark.parametrize(
    "text",
    [
        "consistent",
        "[]",
        '{"decision": "maybe", "confidence": 0.5}',
        '{"decision": "consistent", "confidence": 1.5}',
        '{"decision": "consistent", "confidence": "high"}',
        '{"decision": "consistent"}',
        'Here it is: {"decision": "consistent", "confidence": 0.9}',
    ],
)
def test_a_verdict_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        parse_consistency(text)
