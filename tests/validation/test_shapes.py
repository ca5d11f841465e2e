import json

import pytest

from trace_retriever.validation.shapes import fields_present, fingerprint, id_number, scene_of


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("3:17", 17),
        ("3:0", 0),
        ("3", None),
        (":3", None),
        ("3:", None),
        ("3:x", None),
        ("3:1:2", None),
        ("3:٣", None),
    ],
)
def test_the_number_of_an_id(value: str, number: int | None) -> None:
    assert id_number(value) == number


def test_fields_amount_to_a_modality() -> None:
    assert fields_present("word", None) == "text"
    assert fields_present(None, "a.png") == "image"
    assert fields_present("word", "a.png") == "image,text"
    assert fields_present("", "") == "nothing"


@pytest.mark.parametrize(
    "content", [None, "", "plain words", '"scene" and no JSON', '["scene"]', '{"other": 1}']
)
def test_most_contents_name_no_scene(content: str | None) -> None:
    assert scene_of(content) is None


def test_a_scene_is_the_same_however_its_keys_are_ordered() -> None:
    one, other = {"scene": {"a": 1, "b": 2}}, {"scene": {"b": 2, "a": 1}, "more": 0}
    assert scene_of(json.dumps(one)) == scene_of(json.dumps(other)) is not None


def test_fingerprints_tell_a_missing_part_from_an_empty_one() -> None:
    assert len({fingerprint("a", None), fingerprint("a", ""), fingerprint(None, "a"), fingerprint("a")}) == 4
    assert 0 <= fingerprint("a") < 1 << 63
