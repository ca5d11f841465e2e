import shutil
from pathlib import Path

import pytest
from tests.steps.traces_chain import content, run
from tests.traces.made import make_dataset

from trace_retriever.errors import DataError
from trace_retriever.traces.routes import read_routes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("route")
    make_dataset(path / "mbeir")
    return path


def test_every_train_and_val_query_has_a_route(base: Path) -> None:
    metrics = run(base, "route")
    table = read_routes(base / "routes")
    assert len(table) == metrics["queries"] == 4 * (12 + 4)
    assert set(table["split"]) == {"train", "val"}
    assert metrics["strategy"] == "judge"
    assert metrics["complex_share"] == 0.5
    assert metrics["truth"]["judge"] == {"queries": 64, "raw": 1.0, "kappa": 1.0}
    assert metrics["agreement"]["judge-utility"]["raw"] > 0.7
    assert metrics["shortcut"]["chosen"]["dataset"] == 1.0
    page = (base / "results" / "route" / "report.html").read_text()
    assert "Could the label be guessed?" in page
    assert "<svg" in page


def test_the_same_inputs_give_the_same_bytes(base: Path) -> None:
    run(base, "route", out="one")
    run(base, "route", out="two")
    assert content(base / "one") == content(base / "two")
    pages = [(base / "results" / name / "report.html").read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]


def test_strategies_that_are_not_chosen_can_be_sampled_or_left_out(base: Path) -> None:
    metrics = run(
        base,
        "route",
        "route.strategy=dataset",
        'route.compare=["judge"]',
        "route.compare_queries=10",
        out="sampled",
    )
    table = read_routes(base / "sampled")
    assert table["judge_route"].notna().sum() == 10
    assert table["utility_route"].isna().all()
    assert metrics["agreement"]["dataset-judge"]["queries"] == 10


def test_without_texts_utility_is_skipped_as_a_comparison_and_refused_as_the_choice(
    base: Path, tmp_path: Path
) -> None:
    drop = ("*mojihop*", "*mojifact*", "candidates.jsonl")
    shutil.copytree(base / "mbeir", tmp_path / "mbeir", ignore=shutil.ignore_patterns(*drop))
    metrics = run(tmp_path, "route")
    assert "no target has a text" in metrics["skipped"]["utility"]
    with pytest.raises(DataError, match="strategy 'utility' cannot label"):
        run(tmp_path, "route", "route.strategy=utility")


def test_a_data_set_without_truth_needs_another_teacher(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base / "mbeir", tmp_path / "mbeir", ignore=shutil.ignore_patterns("truth"))
    with pytest.raises(DataError, match="openai or transformers"):
        run(tmp_path, "route")
    assert not (tmp_path / "routes").exists()
