from pathlib import Path

import pytest

from trace_retriever.config.route import RouteConfig
from trace_retriever.config.teacher import SceneTeacherParams
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.traces.examples import Example, load_examples
from trace_retriever.traces.routes import COLUMNS, read_routes, routes_table, write_routes
from trace_retriever.traces.routing import Labels, by_dataset, label, sample
from trace_retriever.traces.teachers.scene import SceneTeacher


@pytest.fixture
def teacher(layout: Layout) -> SceneTeacher:
    return SceneTeacher(layout, SceneTeacherParams(error_rate=0.0))


def test_the_papers_table(examples: list[Example]) -> None:
    found = by_dataset(examples).judgements
    complex_ = {e.pair.name for e in examples if found[e.qid].route == "complex"}
    assert complex_ == {"mojihop_task1", "mojiedit_task7"}


def test_the_judge_is_asked_about_each(
    layout: Layout, examples: list[Example], teacher: SceneTeacher, tmp_path: Path
) -> None:
    found = label("judge", examples, layout, lambda: teacher, RouteConfig(), tmp_path)
    assert set(found.judgements) == {example.qid for example in examples}
    assert not found.failures


def test_utility_calls_complex_what_a_trace_helps(
    layout: Layout, examples: list[Example], teacher: SceneTeacher, tmp_path: Path
) -> None:
    found = label("utility", examples, layout, lambda: teacher, RouteConfig(), tmp_path).judgements
    assert set(found) == {example.qid for example in examples}
    routes = {e.qid: found[e.qid].route for e in examples}
    assert all(routes[e.qid] == "simple" for e in examples if not e.pair.is_complex)
    hops = [routes[e.qid] == "complex" for e in examples if e.pair.name == "mojihop_task1"]
    assert sum(hops) > len(hops) / 2
    assert all(0 <= judgement.confidence <= 1 for judgement in found.values())


def test_a_query_without_a_label_takes_the_data_sets_and_says_so(examples: list[Example]) -> None:
    judged = dict(by_dataset(examples).judgements)
    lost = judged.pop(examples[0].qid)
    table = routes_table(examples, {"judge": Labels(judged, {"timeout": 1})}, "judge")
    row = table.iloc[0]
    assert (row["strategy"], row["route"], row["judge_route"]) == ("dataset", lost.route, None)
    assert (table["strategy"] == "judge").sum() == len(examples) - 1


def test_the_table_is_read_as_written(examples: list[Example], tmp_path: Path) -> None:
    table = routes_table(examples, {"dataset": by_dataset(examples)}, "dataset")
    write_routes(tmp_path / "routes.parquet", table)
    found = read_routes(tmp_path)
    assert tuple(found.columns) == COLUMNS
    assert found["qid"].tolist() == [example.qid for example in examples]
    assert found["utility_route"].isna().all()


@pytest.mark.parametrize("damage", ["missing", "broken", "column", "route", "twice"])
def test_a_damaged_table_is_refused(examples: list[Example], tmp_path: Path, damage: str) -> None:
    path = tmp_path / "routes.parquet"
    table = routes_table(examples, {"dataset": by_dataset(examples)}, "dataset")
    if damage == "route":
        table.loc[0, "route"] = "hard"
    elif damage == "twice":
        table["qid"] = table["qid"].iloc[1]
    if damage == "column":
        table.drop(columns="strategy").to_parquet(path)
    elif damage == "broken":
        path.write_bytes(b"PAR1 not")
    elif damage != "missing":
        write_routes(path, table)
    with pytest.raises(DataError, match=r"routes\.parquet"):
        read_routes(tmp_path)


def test_samples_are_seeded_and_keep_the_order(examples: list[Example]) -> None:
    picked = sample(examples, 5, seed=3)
    assert picked == sample(examples, 5, seed=3) != sample(examples, 5, seed=4)
    assert picked == [example for example in examples if example in picked]
    assert sample(examples, 0, seed=3) == examples


def test_one_qid_in_two_splits_is_refused(made: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    train = (copy / "query/train/mbeir_mojihop_task1_train.jsonl").read_text().splitlines()
    with (copy / "query/val/mbeir_mojihop_task1_val.jsonl").open("a") as stream:
        stream.write(train[0] + "\n")
    with pytest.raises(DataError, match=r"qid 14:1 is in .*train.*val"):
        load_examples(Layout(copy), ("train", "val"), prompt_index=0)
