from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from trace_retriever import cli
from trace_retriever.ask import Answer, ask, describe, parse_query, picture_sheet
from trace_retriever.config.backbone import TinySize
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.model.bundle import TraceModel, load_model
from trace_retriever.model.settings import RouteSetting
from trace_retriever.model.tiny import build_tiny
from trace_retriever.openmoji.world import World

SIZE = TinySize(
    hidden=32, layers=1, heads=2, mlp=32, vision_hidden=16, vision_layers=1, vision_mlp=16, max_trace_tokens=8
)
HOP, EDIT, CAPTION = Pair("mojihop", 1), Pair("mojiedit", 7), Pair("mojicap", 0)


@pytest.fixture(scope="module")
def directory(made_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that knows the benchmark's words."""
    path = tmp_path_factory.mktemp("model")
    model = build_tiny(SIZE, World.load(made_dataset).vocabulary, pixels=48, seed=0)
    with torch.no_grad():  # lest the last token, a special one, be its own most probable successor
        for parameter in model.network.get_submodule("model.language_model.layers").parameters():
            parameter.mul_(5.0)
    model.save(path)
    return path


@pytest.fixture(scope="module")
def model(directory: Path) -> TraceModel:
    return load_model(directory)


@pytest.fixture(scope="module")
def answers(model: TraceModel, made_dataset: Path) -> list[Answer]:
    layout = Layout(made_dataset)
    return [
        ask(model, layout, HOP, 0, reason="always", top=3),
        ask(model, layout, EDIT, 1),
        ask(model, layout, CAPTION, 2, reason="never"),
    ]


def test_an_answer_is_a_search_of_the_pairs_pool(answers: list[Answer], made_dataset: Path) -> None:
    layout = Layout(made_dataset)
    for answer, number in zip(answers, (0, 1, 2), strict=True):
        pool = {candidate.did for candidate in layout.pool(answer.pair, "test")}
        assert answer.query == list(layout.queries(answer.pair, "test"))[number]
        assert answer.pool_size == len(pool)
        assert {candidate.did for candidate, _ in answer.found} <= pool
        scores = [score for _, score in answer.found]
        assert scores == sorted(scores, reverse=True)
        assert all(-1.001 <= score <= 1.001 for score in scores)
        assert answer.target_rank is not None
        found = [candidate.did for candidate, _ in answer.found]
        (positive,) = answer.query.pos_cand_list
        assert (positive in found) == (answer.target_rank <= len(found))
        if positive in found:
            assert found.index(positive) + 1 == answer.target_rank
    assert [len(answer.found) for answer in answers] == [3, 5, 5]
    assert answers[0].encoded.trace_tokens > 0
    assert answers[2].encoded.trace_tokens == 0


def test_a_description_says_what_was_asked_and_found(answers: list[Answer]) -> None:
    for answer in answers:
        text = describe(answer)
        assert answer.asked is not None
        assert answer.asked in text
        assert f"rank {answer.target_rank} of {answer.pool_size}" in text
        assert text.count("top ") >= len(answer.found)
        assert all((candidate.txt or candidate.img_path or "?") in text for candidate, _ in answer.found)
        assert answer.encoded.route in text
    assert answers[1].query.query_img_path is not None
    assert answers[1].query.query_img_path in describe(answers[1])


def test_a_model_is_asked_with_the_route_it_was_registered_with(directory: Path, made_dataset: Path) -> None:
    """One query, three thresholds: nothing but `trace.json` differs."""
    layout, found = Layout(made_dataset), {}
    for threshold in (0.0, 2.0, None):
        copy = load_model(directory)
        route = None if threshold is None else RouteSetting(system="budget", threshold=threshold)
        copy.settings = copy.settings.model_copy(update={"route": route})
        found[threshold] = ask(copy, layout, HOP, 0, top=1)
    assert [found[key].encoded.route for key in (0.0, 2.0)] == ["simple", "complex"]
    assert found[0.0].encoded.trace_tokens == 0
    assert found[2.0].encoded.trace_tokens > 0
    assert "simple from 2 on" in describe(found[2.0])
    assert "registered" not in describe(found[None])


def test_answers_are_drawn_one_a_row(answers: list[Answer], made_dataset: Path, tmp_path: Path) -> None:
    picture_sheet(answers, made_dataset, tmp_path / "three.png")
    picture_sheet(answers[:1], made_dataset, tmp_path / "one.png")
    with Image.open(tmp_path / "three.png") as three, Image.open(tmp_path / "one.png") as one:
        assert three.height > 2.5 * one.height
        assert three.width > one.width  # five found, not three


@pytest.mark.parametrize(
    ("name", "pair", "number"),
    [("mojihop_task1", HOP, 0), ("mojihop_task1:3", HOP, 3), ("mojiedit_task7:12", EDIT, 12)],
)
def test_a_query_is_named_by_pair_and_number(name: str, pair: Pair, number: int) -> None:
    assert parse_query(name) == (pair, number)


@pytest.mark.parametrize(
    "name", ["", "mojihop", "mojihop_task1:", "mojihop_task1:x", "mojihop_task1:-1", "a_task1:²"]
)
def test_what_names_no_query(name: str) -> None:
    with pytest.raises(DataError):
        parse_query(name)


def test_queries_that_are_not_there_are_refused(model: TraceModel, made_dataset: Path) -> None:
    layout = Layout(made_dataset)
    with pytest.raises(DataError, match=r"no test query 999 of mojihop_task1[\s\S]*take 0 to 23"):
        ask(model, layout, HOP, 999)
    with pytest.raises(DataError, match=r"no test queries of mscoco_task0[\s\S]*mojihop_task1"):
        ask(model, layout, Pair("mscoco", 0), 0)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trace(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            cli.main(arguments)
        except SystemExit as error:
            code = int(error.code or 0)
        return (code, *capsys.readouterr())

    return run


def test_the_command_answers(trace: Run, directory: Path, made_dataset: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheets/answer.png"
    places = ["--model", str(directory), "--dataset", str(made_dataset), "--sheet", str(sheet)]
    code, out, error = trace("ask", *places, "--query", "mojihop_task1:1", "--query", "mojicap_task3")
    assert code == 0, error
    assert out.count("query  ") == out.count("target  ") == 2
    assert str(sheet) in out
    with Image.open(sheet) as image:
        assert image.format == "PNG"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("mojihop", "not the name of a pair"),
        ("mojihop_task1:x", "does not name a query"),
        ("mojihop_task1:999", "take 0 to 23"),
        ("mscoco_task0", "no test queries of mscoco_task0"),
    ],
)
def test_the_command_refuses_what_is_not_there(
    trace: Run, directory: Path, made_dataset: Path, tmp_path: Path, query: str, message: str
) -> None:
    places = ["--model", str(directory), "--dataset", str(made_dataset), "--sheet", str(tmp_path / "s.png")]
    code, _, error = trace("ask", *places, "--query", query)
    assert code == 1
    assert message in error
    assert not (tmp_path / "s.png").exists()


def test_the_command_wants_a_model_and_a_data_set(trace: Run, made_dataset: Path, tmp_path: Path) -> None:
    code, _, error = trace(
        "ask", "--model", str(tmp_path), "--dataset", str(made_dataset), "--query", "x_task1"
    )
    assert (code, "no trace.json" in error) == (1, True)
    code, _, error = trace("ask", "--dataset", str(tmp_path / "none"), "--query", "mojihop_task1")
    assert (code, "no data set here" in error) == (1, True)


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ({"truncated": True}, "cut at its token limit"),
        ({"fallback": "garbage"}, "given up at a special token"),
        ({"fallback": "time"}, "given up for time"),
    ],
)
def test_a_trace_without_its_end_is_said_to_be_so(
    answers: list[Answer], ending: dict[str, Any], said: str
) -> None:
    answer = replace(answers[0], encoded=replace(answers[0].encoded, **ending))
    assert said in describe(answer)
