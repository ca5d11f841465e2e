from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.model.families import PROCESSOR

from trace_retriever.errors import CheckpointError, ImageError
from trace_retriever.model.pictures import PatchSpec, PictureReader

SPEC = PatchSpec.from_processor(PROCESSOR, min_pixels=24 * 24, max_pixels=64 * 64)


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng([width, height])
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(48, 48), (16, 64), (100, 37), (9, 9), (300, 200)])
def test_patches_are_those_of_the_librarys_processor(size: tuple[int, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    fields = {key: value for key, value in PROCESSOR.items() if key != "image_processor_type"}
    bounds = {"shortest_edge": SPEC.min_pixels, "longest_edge": SPEC.max_pixels}
    expected = Qwen2VLImageProcessorPil(**fields, size=bounds)(images=[noise(*size)], return_tensors="pt")
    patches = PictureReader(SPEC).read(noise(*size))
    assert expected["image_grid_thw"].tolist() == [[1, *patches.grid]]
    np.testing.assert_allclose(patches.values, expected["pixel_values"], atol=1e-5)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 2000), st.integers(0, 200_000))
def test_sizes_are_those_of_the_librarys_smart_resize(width: int, height: int, least: int, more: int) -> None:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    spec = PatchSpec.from_processor(PROCESSOR, min_pixels=least, max_pixels=least + more)
    try:
        high, wide = smart_resize(height, width, 16, spec.min_pixels, spec.max_pixels)
    except ValueError:
        with pytest.raises(ImageError, match="200 times"):
            spec.size(width, height)
    else:
        assert spec.size(width, height) == (wide, high)


def test_the_cache_is_bounded_and_gives_the_same_patches(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        noise(32 + 16 * number, 32).save(path)
    fresh = [PictureReader(SPEC).read(path).values for path in paths]
    room = sum(values.nbytes for values in fresh[:2])
    reader = PictureReader(SPEC, cache_bytes=room)
    for _ in range(2):
        for path, values in zip(paths, fresh, strict=True):
            assert np.array_equal(reader.read(path).values, values)
            held = sum(patches.values.nbytes for patches in reader._cache.values())
            assert held <= room
    assert reader.read(paths[0]) is reader.read(paths[0])


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    reader = PictureReader(SPEC)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    Image.new("RGB", (900, 3)).save(tmp_path / "long.png")
    for name in ("missing.png", "torn.png", "long.png", "."):
        with pytest.raises(ImageError) as caught:
            reader.read(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_a_processor_without_its_fields_is_refused() -> None:
    with pytest.raises(CheckpointError, match="patch_size"):
        PatchSpec.from_processor({}, 1, 2)
