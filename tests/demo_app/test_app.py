import base64
import html
import io
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from trace_retriever.demo_app.app import MOST_BODY
from trace_retriever.demo_app.serve import build
from trace_retriever.engine.engine import Engine
from trace_retriever.mbeir.ids import candidate_id
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.model.bundle import load_model
from trace_retriever.model.items import Item
from trace_retriever.search.exact import ExactIndex
from trace_retriever.store.embeddings import Embeddings

EDIT, HOP = Pair("mojiedit", 7), Pair("mojihop", 1)
Places = tuple[Path, Path, Path]
SCRIPT = "<script>alert(1)</script>\"'>"


def ids(page: str) -> list[str]:
    """The dids of the results that have pictures, best first."""
    results = page[page.index('<ol class="results">') :]
    return re.findall(r'src="/pictures/did/([0-9:]+)"', results)


def alert(page: str) -> str:
    """What the page complains about."""
    found = re.search(r'role="alert">(.*?)</div>', page, re.DOTALL)
    assert found, page
    return html.unescape(re.sub(r"<[^>]+>", " ", found[1]))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def reference(places: Places) -> tuple[str, Path]:
    """Did and file of a picture in the pool of edits."""
    layout = Layout(places[2])
    candidate = next(iter(layout.pool(EDIT, "test")))
    assert candidate.img_path
    return candidate.did, layout.root / candidate.img_path


def expected(places: Places, item: Item, pair: Pair, reason: Any, count: int) -> list[str]:
    """What the engine and an exact search find, without the page."""
    model, embeddings = load_model(places[0]), Embeddings.load(places[1])
    (encoded,) = Engine(model).encode([item], reason=reason)
    rows = embeddings.rows(one.did for one in Layout(places[2]).pool(pair, "test"))
    found = ExactIndex(embeddings.candidates, rows).search(encoded.vector(reason)[None], count)
    return [candidate_id(int(number)) for number in embeddings.numbers[rows[found.rows[0]]]]


def test_the_page_offers_every_embedded_pool_and_examples_of_each(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    for name in ("mojihop_task1", "mojiedit_task7", "everything"):
        assert f'<option value="{name}"' in answer.text
    assert answer.text.count('class="example"') == 3 * 13
    for example in re.findall(r'class="example" href="([^"]+)"', answer.text)[::4]:
        assert client.get(html.unescape(example)).status_code == 200


def test_nothing_is_loaded_from_elsewhere_and_no_script_is_inline(client: TestClient) -> None:
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.findall(r"<script(?! src=\"/static/)| on[a-z]+=| style=|https?://", answer.text)
    for path in set(re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text)):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("reason", ["auto", "never", "always"])
@pytest.mark.parametrize("kind", ["words", "picture", "both"])
def test_results_are_those_of_the_engine_and_an_exact_search(
    client: TestClient, places: Places, reference: tuple[str, Path], kind: str, reason: str
) -> None:
    did, path = reference
    fields = {"pool": EDIT.name, "reason": reason, "count": "6"}
    text = {
        "words": "Find the picture. Cat top.",
        "picture": "Find a matching picture.",
        "both": "Find the picture. Remove cat.",
    }[kind]
    if kind != "picture":
        fields["text"] = text.partition(". ")[2].lower().rstrip(".")
    if kind != "words":
        fields["picture"] = f"did:{did}"
    answer = client.get("/search", params=fields)
    assert answer.status_code == 200
    assert html.unescape(re.findall(r"<q>(.*?)</q>", answer.text)[-1]) == text
    item = Item(text, None if kind == "words" else path)
    assert ids(answer.text) == expected(places, item, EDIT, reason, 6)
    assert ("Its reasoning, word by word" in answer.text) == ("<li><span>" in answer.text)
    if reason == "never":
        assert "<dd>0 tokens</dd>" in answer.text


def test_a_form_without_a_file_leads_to_an_address_that_can_be_kept(client: TestClient) -> None:
    fields = {"pool": HOP.name, "text": " boss  of cat ", "reason": "always", "count": "6", "instruction": ""}
    sent = client.post("/search", data=fields, files={"upload": ("", b"")}, follow_redirects=False)
    assert sent.status_code == 303
    assert sent.headers["Location"] == "/search?pool=mojihop_task1&text=boss+of+cat&reason=always&count=6"
    assert client.get(sent.headers["Location"]).status_code == 200


def test_an_uploaded_picture_finds_what_the_same_picture_of_the_pool_finds_and_comes_back_with_the_form(
    client: TestClient, reference: tuple[str, Path]
) -> None:
    did, path = reference
    listed = client.get("/search", params={"pool": EDIT.name, "picture": f"did:{did}"})
    fields = {"pool": EDIT.name, "picture": "did:18:1"}  # the upload goes before the picture in the form
    sent = client.post("/search", data=fields, files={"upload": ("a.jpg", path.read_bytes())})
    assert ids(sent.text) == ids(listed.text)
    (kept,) = re.findall(r'name="kept" value="([^"]+)"', sent.text)
    again = client.post("/search", data={"pool": EDIT.name, "kept": kept}, files={"upload": ("", b"")})
    assert ids(again.text) == ids(sent.text)
    assert f'value="{kept}"' in again.text


def test_a_large_photo_is_taken_upright_and_scaled_to_what_the_model_looks_at(client: TestClient) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    exif[0x010E] = "where I live"
    stream = io.BytesIO()
    image.save(stream, format="JPEG", exif=exif)
    sent = client.post("/search", data={"pool": EDIT.name}, files={"upload": ("p.jpg", stream.getvalue())})
    assert sent.status_code == 200
    (kept,) = re.findall(r'src="data:image/png;base64,([^"]+)" alt="the picture that is searched', sent.text)
    content = base64.b64decode(kept)
    back = Image.open(io.BytesIO(content))
    assert back.height > back.width
    assert back.width * back.height <= 48 * 48 * 1.05
    assert b"where I live" not in content


def test_an_example_marks_what_it_wants_until_somebody_changes_it(client: TestClient) -> None:
    fields = {"pool": HOP.name, "text": "", "example": f"{HOP.name}:1", "count": "48"}
    page = client.get("/").text
    (address,) = [
        one for one in re.findall(r'class="example" href="([^"]+)"', page) if "hop_task1%3A1" in one
    ]
    shown = client.get(html.unescape(address) + "&count=48").text
    assert ("✓ wanted" in shown) == ("at rank" in shown)
    assert ("not among the first 48" in shown) == ("✓ wanted" not in shown)
    changed = client.get("/search", params=fields | {"text": "boss of cat"}).text
    assert "wanted" not in changed


@pytest.mark.parametrize("field", ["text", "instruction", "example"])
def test_markup_in_a_field_is_only_text(client: TestClient, field: str) -> None:
    fields = {"pool": EDIT.name, "text": "cat", field: SCRIPT}
    answer = client.get("/search", params=fields)
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text
    assert html.escape(SCRIPT, quote=False).partition('"')[0] in answer.text
    assert "\"'>" not in answer.text


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({}, 422, "Nothing was asked"),
        ({"text": "  "}, 422, "Nothing was asked"),
        ({"text": "cat", "pool": SCRIPT}, 404, "There is no pool"),
        ({"text": "cat", "pool": "cirr_task7"}, 404, "choose one of mojicap_task0"),
        ({"text": "cat", "reason": "maybe"}, 422, "'reason' is none of auto, never, always"),
        ({"text": "cat", "count": "1000000"}, 422, "'count' is none of"),
        ({"text": "cat " * 400}, 422, "the limit is 1,000"),
        ({"picture": "did:18:99999"}, 404, "no such picture"),
        ({"picture": "did:9999:9999999"}, 404, "no such picture"),
        ({"picture": "example:mojihop_task1:0"}, 404, "no such picture"),
        ({"picture": "example:mojihop_task1:99"}, 404, "no such picture"),
        ({"picture": "../../etc/passwd"}, 422, "none of the data set's"),
        ({"picture": "did:18:1/../../x"}, 422, "none of the data set's"),
        ({"picture": SCRIPT}, 422, "none of the data set's"),
    ],
)
def test_what_cannot_be_answered_is_said_in_words(
    client: TestClient, fields: dict[str, str], status: int, said: str
) -> None:
    answer = client.get("/search", params=fields)
    assert answer.status_code == status
    assert said in alert(answer.text)
    assert "<script>alert" not in answer.text
    assert '<form id="ask"' in answer.text


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 400 million pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(header)) + b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"not a picture", 422, "not a JPEG, PNG or WebP picture"),
        (b"GIF89a" + bytes(40), 422, "not a JPEG, PNG or WebP picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not a JPEG"),
        (png(Image.new("RGB", (64, 64), "red"))[:60], 422, "cannot be"),
        (bomb(), 422, "cannot be used"),
        (png(Image.new("RGB", (3000, 2))), 422, "more than 200 times"),
        (bytes(9_000_000), 413, "9.0 MB; the limit is 8 MB"),
        (bytes(MOST_BODY + 1), 413, "too large"),
    ],
    ids=["text", "gif", "svg", "cut", "bomb", "strip", "large", "body"],
)
def test_a_file_that_is_no_usable_picture_is_refused_in_words(
    client: TestClient, content: bytes, status: int, said: str
) -> None:
    sent = client.post("/search", data={"text": "cat"}, files={"upload": ("x.png", content)})
    assert (sent.status_code, said in alert(sent.text)) == (status, True), alert(sent.text)
    if len(content) < MOST_BODY:
        assert 'value="cat"' in sent.text  # what was typed is still there


@pytest.mark.parametrize("kept", ["%%%", "aGVsbG8=", "a" * 1001])
def test_a_kept_picture_that_was_tampered_with_is_refused(client: TestClient, kept: str) -> None:
    sent = client.post("/search", data={"kept": kept}, files={"upload": ("", b"")})
    assert sent.status_code == 422


def test_a_form_of_another_shape_is_refused(client: TestClient) -> None:
    many = {f"field{number}": "x" for number in range(40)}
    sent = client.post("/search", data=many, files={"upload": ("", b"")})
    assert (sent.status_code, "cannot be read" in alert(sent.text)) == (400, True)
    assert client.put("/search").status_code == 405
    assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/did/18:99999",
        "/pictures/did/..%2f..%2fopenmoji.json",
        "/pictures/did/%2fetc%2fpasswd",
        "/pictures/file/openmoji.json",
        "/pictures/did/14:64",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
    ],
)
def test_no_path_reaches_another_file(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_picture_is_a_copy_without_anything_else(client: TestClient, reference: tuple[str, Path]) -> None:
    answer = client.get(f"/pictures/did/{reference[0]}")
    assert answer.headers["Content-Type"] == "image/png"
    shown = Image.open(io.BytesIO(answer.content))
    with Image.open(reference[1]) as original:
        assert np.array_equal(np.asarray(shown), np.asarray(original.convert("RGB")))


def test_another_host_s_name_is_refused(client: TestClient) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/", headers={"Host": "localhost:8090"}).status_code == 200


@pytest.fixture
def broken(places: Places, tmp_path: Path) -> Iterator[tuple[TestClient, str]]:
    """The page over a data set whose edits' first picture is cut, and that picture's did."""
    dataset = tmp_path / "mbeir"
    shutil.copytree(places[2], dataset)
    candidate = next(iter(Layout(dataset).pool(EDIT, "test")))
    path = dataset / (candidate.img_path or "")
    path.write_bytes(path.read_bytes()[:40])
    app = build(places[0], places[1], dataset)
    with TestClient(app, base_url="http://127.0.0.1") as started:
        yield started, candidate.did


def test_a_broken_picture_of_the_data_set_is_no_traceback_and_names_no_file(
    broken: tuple[TestClient, str],
) -> None:
    client, did = broken
    assert client.get(f"/pictures/did/{did}").status_code == 404
    answer = client.get("/search", params={"pool": EDIT.name, "picture": f"did:{did}"})
    assert answer.status_code == 500
    assert "not in order" in alert(answer.text)
    assert "mbeir_images" not in answer.text
