import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from trace_retriever.errors import ImageError
from trace_retriever.io.images import ImageLimits, decode_image, load_image, resolve_inside


def save(path: Path, size: tuple[int, int] = (20, 10), kind: str = "JPEG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert("RGB").save(path, kind)
    return path


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it has so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_of_known_formats_open_as_rgb(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "a.jpg", kind=kind)
    image = load_image(tmp_path, "a.jpg")
    assert (image.mode, image.size) == ("RGB", (20, 10))


@pytest.mark.parametrize("name", ["../a.jpg", "/a.jpg", "x/../../a.jpg", "..\\a.jpg", "", "a\0.jpg", ".."])
def test_a_name_that_leaves_the_root_is_refused(tmp_path: Path, name: str) -> None:
    save(tmp_path / "a.jpg")
    (tmp_path / "root").mkdir()
    with pytest.raises(ImageError, match="leaves the data set"):
        load_image(tmp_path / "root", name)


def test_a_link_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    (tmp_path / "root/pictures").mkdir(parents=True)
    (tmp_path / "root/pictures/a.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "root/a.jpg").symlink_to(tmp_path / "a.jpg")
    for name in ("pictures/a.jpg", "a.jpg"):
        with pytest.raises(ImageError, match="through a link"):
            load_image(tmp_path / "root", name)


def test_a_linked_folder_below_the_root_is_followed_but_not_left(tmp_path: Path) -> None:
    save(tmp_path / "far/pictures/a.jpg")
    save(tmp_path / "far/secret.jpg")
    (tmp_path / "far/pictures/out.jpg").symlink_to(tmp_path / "far/secret.jpg")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/pictures").symlink_to(tmp_path / "far/pictures")
    assert load_image(tmp_path / "root", "pictures/a.jpg").size == (20, 10)
    with pytest.raises(ImageError, match="through a link"):
        resolve_inside(tmp_path / "root", "pictures/out.jpg")


def test_a_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(ImageError, match="too many pixels"):
        decode_image(bomb(10_000, 10_000), ImageLimits(), where="bomb.png")


def test_a_bomb_that_pillow_refuses_first_is_the_same_error() -> None:
    with pytest.raises(ImageError, match="exceeds limit"):
        decode_image(bomb(50_000, 50_000), ImageLimits(), where="bomb.png")


def test_pixels_are_bounded(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", (20, 10))
    assert load_image(tmp_path, "a.jpg", ImageLimits(max_pixels=200)).size == (20, 10)
    with pytest.raises(ImageError, match="20 x 10 pixels; the limit is 199"):
        load_image(tmp_path, "a.jpg", ImageLimits(max_pixels=199))


def test_bytes_are_bounded(tmp_path: Path) -> None:
    size = save(tmp_path / "a.jpg").stat().st_size
    with pytest.raises(ImageError, match=f"picture of {size:,} bytes; the limit is 50"):
        load_image(tmp_path, "a.jpg", ImageLimits(max_bytes=50))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_is_named(tmp_path: Path, kind: str, share: float) -> None:
    path = save(tmp_path / "a.jpg", (200, 200), kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError) as error:
        load_image(tmp_path, "a.jpg")
    assert error.value.where == str(path)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(tmp_path: Path, kind: str) -> None:
    save(tmp_path / "a.jpg", kind=kind)
    with pytest.raises(ImageError, match="not a JPEG, PNG or WebP"):
        load_image(tmp_path, "a.jpg")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError) as error:
        load_image(tmp_path, "a.jpg")
    assert error.value.where == str(tmp_path / "a.jpg")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="not found"):
        load_image(tmp_path, "a.jpg")


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    with pytest.raises(ImageError, match="picture not found"):
        load_image(tmp_path, "a.jpg")


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="picture not found"):
        load_image(tmp_path, "a.jpg/b.jpg")


def test_a_name_that_is_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot be (followed|read)"):
        load_image(tmp_path, "x" * 5000 + ".jpg")


def test_a_circle_of_links_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "b.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="cannot be followed"):
        load_image(tmp_path, "a.jpg")


def test_a_palette_with_transparency_becomes_rgb() -> None:
    stream = io.BytesIO()
    Image.new("P", (4, 4)).save(stream, "PNG", transparency=b"\0" * 256)
    assert decode_image(stream.getvalue(), ImageLimits(), where="a.png").mode == "RGB"
