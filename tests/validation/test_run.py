from collections.abc import Callable
from pathlib import Path

import pytest
from tests.validation.breaks import spoil_pools, spoil_queries, spoil_what_was_made
from tests.validation.made import (
    CAPTION,
    HOP,
    edit_lines,
    global_pool_path,
    pool_path,
    qrels_path,
    query_path,
    write_made,
)

from trace_retriever.config.validate import RouteParams, TraceParams, ValidateConfig
from trace_retriever.errors import DataError
from trace_retriever.validation.run import Validation, run_validation

Found = dict[str, list[str]]

# What each spoiling must report: rule → the id shown for each offending row; rules that are not here held.
# A wrong qid, for instance, also leaves its old qrels and its old route without a query.
EXPECTED: dict[Callable[[Path], None], Found] = {
    spoil_queries: {
        "queries.record_shape": ["10:0"],
        "queries.id_form": ["10-one"],
        "queries.id_bounds": ["10:500000"],
        "queries.id_unique": ["10:4", "10:4"],
        "queries.id_dataset": ["99:7"],
        "queries.modality_known": ["10:6"],
        "queries.modality_fields": ["10:6", "10:309"],
        "queries.modality_pair": ["10:6", "10:310"],
        "queries.task_pair": ["10:8"],
        "queries.text_length": ["10:9"],
        "queries.positive_count": ["10:10"],
        "queries.positive_form": ["10:308"],
        "qrels.query_known": ["10:1", "10:2", "10:3", "10:7"],
        "qrels.positive_listed": ["10:0", "10:10", "10:308"],
        "positives.reachable_local": ["10:308"],
        "positives.reachable_global": ["10:308"],
        "positives.judged": ["10-one", "10:500000", "10:4", "99:7", "10:308"],
        "routes.query_known": ["10:1", "10:2", "10:3", "10:7"],
        "routing.routed": ["10-one", "10:500000"],
    },
    spoil_pools: {
        "candidates.record_shape": ["14:105"],
        "candidates.id_form": ["hop"],
        "candidates.id_bounds": ["14:10000000"],
        "candidates.id_unique": ["14:109", "14:109"],
        "candidates.id_content": ["14:109", "14:109", "14:109", "14:111", "14:112"],
        "candidates.modality_known": ["14:111"],
        "candidates.modality_fields": ["14:111", "14:112"],
        "candidates.modality_pair": ["14:111", "14:114"],
        "candidates.text_length": ["14:113"],
        "positives.reachable_local": ["14:101", "14:102", "14:103", "18:708"],
        "positives.reachable_global": ["18:709"],
        "images.opens": ["10:5", "10:6"],
        "images.shortest_side": ["10:7"],
    },
    spoil_what_was_made: {
        "qrels.line_form": ["10:0"],
        "qrels.judged_once": ["10:5", "10:5"],
        "qrels.relevance": ["10:6"],
        "qrels.task_pair": ["10:6"],
        "qrels.query_known": ["10:399"],
        "qrels.positive_listed": ["10:306"],
        "positives.judged": ["10:0"],
        "leaks.same_query": ["18:709"],
        "leaks.same_picture": ["18:708", "18:709"],
        "leaks.same_scene": ["14:108"],
        "leaks.known_positive": ["18:710"],
        "routes.route_known": ["10:1"],
        "routes.labelled_once": ["10:4", "10:4"],
        "routes.query_known": ["10:77"],
        "routes.confidence": ["10:2"],
        "routing.routed": ["10:3"],
        "traces.record_shape": ["14:100"],
        "traces.trace_unique": ["14:105", "14:105"],
        "traces.query_known": ["14:108"],
        "traces.query_complex": ["10:5"],
        "traces.reasoning_length": ["14:101"],
        "traces.answer_length": ["14:102"],
        "traces.confidence": ["14:103"],
    },
}
STRICT = ValidateConfig(
    routes=RouteParams(max_complex=0.4),
    traces=TraceParams(min_kept=1.0),
)


def run(root: Path, config: ValidateConfig | None = None) -> Validation:
    return run_validation(
        config or ValidateConfig(),
        dataset=root / "mbeir",
        routes=root / "routes",
        kept=root / "kept",
        previous=None,
        data_docs=root / "docs",
    )


def found(validation: Validation) -> Found:
    return {
        f"{result['name']}.{entry['rule']}": [
            row.get("qid") or row.get("did") or row.get("id") for row in entry["examples"]
        ]
        for result in validation.results
        for entry in result["expectations"]
        if not entry["success"]
    }


@pytest.mark.parametrize("spoil", EXPECTED, ids=lambda spoil: spoil.__name__)
def test_each_rule_reports_what_was_spoiled_and_nothing_else(
    made: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(made)
    validation = run(made)
    assert found(validation) == EXPECTED[spoil]
    assert not any("fault" in entry for result in validation.results for entry in result["expectations"])
    assert set(validation.failed) == set(EXPECTED[spoil])


def test_rules_on_whole_columns_and_everything_else_holds_on_good_data(made: Path) -> None:
    edit_lines(made / "kept/kept.jsonl", lambda rows: rows.__delitem__(slice(11)))
    validation = run(made, STRICT)
    assert validation.failed == ["routing.complex_share", "traces.kept_enough"]
    rules = {
        f"{result['name']}.{entry['rule']}"
        for result in validation.results
        for entry in result["expectations"]
    }
    broken = {rule for found in EXPECTED.values() for rule in found} | set(validation.failed)
    assert broken == rules, "a rule that no test breaks"
    entries = {entry["rule"]: entry for result in validation.results for entry in result["expectations"]}
    assert entries["complex_share"]["observed"] == 0.5
    assert entries["kept_enough"]["observed"] == 5


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (query_path(Path(), CAPTION, "val"), '{"qid": "10:6"\n', "mbeir_mojicap_task0_val.jsonl:1"),
        (global_pool_path(Path(), "test"), "[1, 2]\n", "mbeir_union_test_cand_pool.jsonl:1"),
        (Path("kept/kept.jsonl"), "\n\nnot json\n", "kept.jsonl:3"),
        (Path("routes/routes.parquet"), "not parquet", "routes.parquet"),
        (qrels_path(Path(), HOP, "test"), None, "qrels not found"),
        (pool_path(Path(), HOP, "test"), None, "no test pool for mojihop_task1"),
        (global_pool_path(Path(), "val"), None, "no global val pool"),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_named_with_its_line(
    made: Path, path: Path, content: str | None, message: str
) -> None:
    if content is None:
        (made / path).unlink()
    else:
        (made / path).write_text(content)
    with pytest.raises(DataError) as caught:
        run(made)
    assert message in str(caught.value)


def test_the_same_data_give_the_same_results_and_digests_name_the_files(tmp_path: Path) -> None:
    first, second = (run(write_made(tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert first.files["routes/routes.parquet"].startswith("sha256:")
    assert "dataset/query/test/mbeir_mojihop_task1_test.jsonl" in first.files
    assert (tmp_path / "one/docs/index.html").stat().st_size > 1000
    assert list((tmp_path / "one/docs/validations").rglob("*.html"))
