from pathlib import Path

import pytest

from trace_retriever.errors import ImageError
from trace_retriever.mbeir.items import candidate_item, query_item
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Candidate

CIRR = Pair("cirr", 7)


def test_a_query_has_its_instruction_and_picture(checkout: Path) -> None:
    layout = Layout(checkout)
    query = next(layout.queries(CIRR, "test"))
    item = query_item(layout, query, CIRR, 2)
    assert item.text == f"Find what answers cirr_task7 in way 2. {query.query_txt}.".replace("words", "Words")
    assert item.image == checkout / str(query.query_img_path)


def test_a_picture_candidate_has_no_words(checkout: Path) -> None:
    layout = Layout(checkout)
    candidate = next(layout.pool(CIRR, "test"))
    item = candidate_item(layout, candidate)
    assert item.text is None
    assert item.image == checkout / str(candidate.img_path)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "mbeir_images/../../secret.jpg"])
def test_a_picture_outside_the_data_set_is_refused(checkout: Path, name: str) -> None:
    candidate = Candidate.model_validate({"did": "8:1", "txt": None, "img_path": name, "modality": "image"})
    with pytest.raises(ImageError, match="leaves the data set"):
        candidate_item(Layout(checkout), candidate)


def test_a_link_out_of_the_pictures_is_refused(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (checkout / "mbeir_images/link.jpg").symlink_to(tmp_path / "secret.jpg")
    candidate = Candidate.model_validate(
        {"did": "8:1", "txt": None, "img_path": "mbeir_images/link.jpg", "modality": "image"}
    )
    with pytest.raises(ImageError, match="through a link"):
        candidate_item(Layout(checkout), candidate)
