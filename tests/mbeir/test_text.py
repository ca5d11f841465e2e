import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_retriever.errors import DataError
from trace_retriever.mbeir.instructions import Instructions
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Modality, Query
from trace_retriever.mbeir.text import candidate_text, clean_text, query_text

PAIR = Pair("mscoco", 0)
INSTRUCTIONS = Instructions({(9, Modality.TEXT, Modality.IMAGE): ("find the picture", "show it!")})


def query(text: str) -> Query:
    return Query(
        qid="9:1",
        query_txt=text,
        query_img_path=None,
        query_modality=Modality.TEXT,
        pos_cand_list=["9:1"],
        task_id=0,
    )


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a cat", "A cat."),
        ("  a cat \n", "A cat."),
        ('"a cat"', "A cat."),
        ('"a "small" cat"', 'A "small" cat.'),
        ("a\r\ncat", "A\ncat."),
        ("is it a cat?", "Is it a cat?"),
        ("a cat!", "A cat!"),
        ("A cat.", "A cat."),
        ("éclair", "Éclair."),
        ("7 cats", "7 cats."),
        ("", ""),
        (' "" ', ""),
        (None, ""),
    ],
)
def test_the_rules_of_uniir(text: str | None, clean: str) -> None:
    assert clean_text(text) == clean


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_text(clean_text(text)) == clean_text(text)


@given(st.text())
def test_a_clean_text_ends_with_a_mark_and_holds_no_carriage_return(text: str) -> None:
    clean = clean_text(text)
    assert clean == "" or clean[-1] in ".?!"
    assert "\r" not in clean


def test_a_query_text_is_prompt_space_text() -> None:
    assert query_text(INSTRUCTIONS, query("a cat"), PAIR, 0) == "Find the picture. A cat."
    assert query_text(INSTRUCTIONS, query("a cat"), PAIR, 1) == "Show it! A cat."


def test_no_instruction_leaves_the_words_alone() -> None:
    assert query_text(INSTRUCTIONS, query("a cat"), PAIR, None) == "A cat."


def test_an_unknown_prompt_index_is_named() -> None:
    with pytest.raises(DataError, match="mscoco_task0 has 2 prompts; none has index 2"):
        query_text(INSTRUCTIONS, query("a cat"), PAIR, 2)


def test_a_picture_alone_has_no_candidate_text() -> None:
    assert candidate_text(None) is None
    assert candidate_text("a cat") == "A cat."
