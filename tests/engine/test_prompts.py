from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image

from trace_retriever.engine.prompts import ahead, plan_prompts, read_prompts
from trace_retriever.errors import ImageError
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)).save(path)
    return path


def test_tokens_are_planned_from_the_header_and_pixels_read_later(model: TraceModel, picture: Path) -> None:
    items = [Item("of the"), Item("of the", picture), Item(None, picture)]
    with ThreadPoolExecutor(2) as pool:
        planned = plan_prompts(model, items, pool)
    assert [prompt.ids for prompt in planned] == [model.prompt_ids(item) for item in items]
    assert all(prompt.patches is None for prompt in planned)
    words, both, alone = read_prompts(model, planned, set[str]().__contains__)
    assert words.patches is None
    assert both.patches is not None
    assert both.digest == alone.digest
    assert both.patches.grid == both.grid


def test_a_picture_whose_features_are_known_is_not_read(model: TraceModel, picture: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        planned = plan_prompts(model, [Item(None, picture)], pool)
    picture.unlink()
    assert planned[0].digest is not None
    assert read_prompts(model, planned, {planned[0].digest}.__contains__) == planned
    with pytest.raises(ImageError, match=r"picture\.png"):
        read_prompts(model, planned, set[str]().__contains__)


def test_work_is_done_ahead_but_not_too_far() -> None:
    started: list[int] = []
    blocked = Event()

    def work(number: int) -> int:
        started.append(number)
        if number == 2:
            blocked.wait(10)
        return number * number

    with ThreadPoolExecutor(4) as pool:
        results = ahead(range(9), work, pool=pool, depth=3)
        assert next(results) == 0
        assert max(started) <= 3
        blocked.set()
        assert list(results) == [number * number for number in range(1, 9)]


def test_an_error_reaches_the_reader_in_its_turn() -> None:
    def work(number: int) -> int:
        return 12 // (3 - number)

    with ThreadPoolExecutor(2) as pool:
        results = ahead(range(9), work, pool=pool, depth=8)
        assert [next(results) for _ in range(3)] == [4, 6, 12]
        with pytest.raises(ZeroDivisionError):
            next(results)
