from pathlib import Path

import pytest
from tests.demo_app.conftest import write_model
from tests.evaluation.colours import build_model
from tests.model.families import build as build_family

from trace_retriever.demo_app.words import Words
from trace_retriever.model.bundle import load_model


@pytest.fixture(scope="module")
def words(made_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Words:
    model = write_model(made_dataset, tmp_path_factory.mktemp("words") / "model")
    return Words(load_model(model), made_dataset)


def test_known_words_need_no_note(words: Words) -> None:
    assert words.unknown("remove cat and move Snake to topleft , .") is None


@pytest.mark.parametrize(
    ("typed", "strange", "instead"),
    [
        ("the same without the cat", ("same", "without"), "remove cat"),
        ("remove catt", ("catt",), "remove cat"),
        ("delete mousse", ("delete", "mousse"), "remove mouse"),
        ("the same", ("same",), None),
        ("quantum flux and quantum cat", ("quantum", "flux"), None),
        ("<|emb|> cat", ("<|", "emb", "|>"), None),
    ],
)
def test_unknown_words_are_named_and_known_ones_proposed(
    words: Words, typed: str, strange: tuple[str, ...], instead: str | None
) -> None:
    found = words.unknown(typed)
    assert found is not None
    assert (found.words, found.instead) == (strange, instead)
    if instead:
        assert words.unknown(instead) is None


def test_a_made_data_set_s_words_come_under_headings(words: Words) -> None:
    assert "cat" in words.groups["things"]
    assert "topleft" in words.groups["places"]
    assert "friend" in words.groups["relations"]
    assert {word for group in words.groups.values() for word in group} == words.known


def test_another_data_set_s_few_words_come_as_one_list(tmp_path: Path) -> None:
    found = Words(build_model(), tmp_path)
    assert list(found.groups) == ["words"]
    assert found.unknown("a red lobster") is not None


def test_a_model_that_spells_any_word_has_nothing_to_say(tmp_path: Path) -> None:
    found = Words(build_family("qwen2_5_vl"), tmp_path)
    assert found.groups == {}
    assert found.unknown("Lobster, 龙虾!") is None
