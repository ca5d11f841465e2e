"""The study run for real at toy size: tables, resuming, what fails, the report."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.experiments.conftest import STUDY

from trace_retriever.errors import ConfigError, DataError, TraceError
from trace_retriever.experiments import report
from trace_retriever.experiments.encoding import read_vectors
from trace_retriever.experiments.measure import measure, ranks, read_fields
from trace_retriever.experiments.places import Places
from trace_retriever.experiments.schedule import run_study
from trace_retriever.experiments.study import Study, read_study
from trace_retriever.experiments.tables import Tables, rank_of
from trace_retriever.experiments.units import units
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model


def test_every_unit_leaves_a_table_and_says_how_it_came_about(study: Study, places: Places) -> None:
    tables = Tables(study, places.results)
    for unit in units(study):
        if unit.seed:
            assert len(tables.read(unit.name, unit.seed)) > 0
            about = tables.about(unit.name, unit.seed)
            assert about["params"]
            assert about["definition"].startswith("sha256:")


def test_the_cut_keeps_train_and_test_pairs_apart(study: Study, places: Places) -> None:
    layout = Layout(places.dataset)
    assert sorted(pair.name for pair in layout.pairs("train")) == sorted(study.data.train_pairs)
    assert {pair.name for pair in layout.pairs("test")} == set(study.pairs(transfer=True))
    named = {
        did
        for pair in layout.pairs("train")
        for query in layout.queries(pair, "train")
        for did in (*query.pos_cand_list, *query.neg_cand_list)
    }
    assert {one.did for one in layout.global_pool("train")} == named


def test_what_is_done_is_not_done_again(study: Study, places: Places) -> None:
    assert run_study(study, places, jobs=1) == []


def test_another_definition_is_another_run(study: Study, places: Places) -> None:
    from trace_retriever.experiments.work import is_done

    changed = study.model_copy(update={"base": {**study.base, "steps": 7}})
    [unit] = [one for one in units(study) if one.key == "trace-1"]
    assert is_done(study, places, unit)
    assert not is_done(changed, places, unit)


def test_a_table_measured_again_is_the_same(study: Study, places: Places) -> None:
    fields = read_fields(Layout(places.dataset), study.pairs(transfer=False))
    model = load_model(places.model("encoder", 1), ablation=True)
    again = measure(model, fields).sort_values(["pair", "qid"], kind="stable")
    kept = Tables(study, places.results).read("encoder", 1)
    kept = kept[kept["pair"].isin(study.data.train_pairs)]
    assert again["rank_direct"].tolist() == kept["rank_direct"].tolist()


def test_given_traces_are_read_where_the_engine_reads_its_own(study: Study, places: Places) -> None:
    """A teacher-forced pass over the trace that was decoded gives the decoded vector."""
    from trace_retriever.engine.engine import Engine

    model = load_model(places.model("trace", 1), ablation=True)
    [field, *_] = read_fields(Layout(places.dataset), study.data.train_pairs[-1:])
    decoded = list(Engine(model).encode(field.items, reason="always"))
    forced = read_vectors(model, field.items, [one.trace_ids for one in decoded])
    np.testing.assert_allclose(forced, [one.reasoned for one in decoded], atol=1e-5)


def test_its_own_trace_has_cosine_one(study: Study, places: Places) -> None:
    table = Tables(study, places.results).read("counterfactual", 1)
    assert table.loc[table["kind"] == "own", "cosine"].to_numpy() == pytest.approx(1, abs=1e-5)
    assert set(table["pair"]) == {"mojihop_task1", "mojirelation_task6", "mojiedit_task7"}


def test_ties_count_against_the_target() -> None:
    queries = np.array([[1.0, 0.0]], np.float32)
    pool = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    assert ranks(queries, pool, [[0]]).tolist() == [2]
    assert ranks(queries, pool, [[0, 1]]).tolist() == [1]


def test_ways_of_using_a_model_choose_between_its_two_ranks(study: Study, places: Places) -> None:
    rows = Tables(study, places.results).read("trace", 1)
    assert rank_of(rows, "never").equals(rows["rank_direct"])
    assert rank_of(rows, "always").equals(rows["rank_reasoned"])
    simple = ~rows["complex"]
    assert rank_of(rows, "oracle")[simple].equals(rows["rank_direct"][simple])


def test_a_failure_holds_up_only_what_needs_it(study: Study, places: Places, tmp_path: Path) -> None:
    """The chain of this run lacks its backbone: traces are made all the same, trainings fail by name."""
    for name in ("data",):
        (tmp_path / name).symlink_to(places.chain / name)
    broken = Places(tmp_path, tmp_path / "work", tmp_path / "results")
    with pytest.raises(TraceError, match=r"(?s)failed, first (trace|encoder)-1.*backbone") as caught:
        run_study(study, broken, jobs=1, only=["trace", "encoder", "traces-blind"])
    assert "what is done is kept" in str(caught.value)
    assert (tmp_path / "work/made/traces-blind.json").is_file()


def test_a_report_needs_all_that_it_speaks_of(study: Study, places: Places) -> None:
    """This study lacks most variants; one without any results lacks all."""
    with pytest.raises(DataError, match=r"(?s)not run yet: .*lora.*experiments/run\.py") as caught:
        report.answers(Tables(read_study(STUDY), places.results))
    assert "counterfactual" not in str(caught.value)
    with pytest.raises(DataError, match=r"(?s)not run yet.*experiments/run\.py"):
        Tables(study, places.work / "none").read("trace", 1)


def test_a_name_that_the_study_does_not_have_is_refused(study: Study, places: Places) -> None:
    with pytest.raises(ConfigError, match=r"(?s)nothing called tracce.*encoder-on-traces"):
        run_study(study, places, jobs=1, only=["tracce"])


def test_a_markdown_table_keeps_its_columns() -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": ["x | y", "<|emb|>"], "b": [0.123, 1.0]}, index=["one", "two"])
    lines = report.markdown_table(frame).splitlines()
    assert lines[0] == "|  | a | b |"
    assert lines[2] == "| one | x \\| y | 0.12 |"
    assert "&lt;\\|emb\\|&gt;" in lines[3]


def test_answers_are_recorded_in_short() -> None:
    from trace_retriever.experiments.answer import Answer

    one = Answer(number=1, title="t", claim="c", verdict="held", finding="f", seeds=3)
    assert json.dumps(report.as_records([one]))
    assert report.overview([one]).loc[1, "here"] == "held"
