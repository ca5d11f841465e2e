"""The committed results of the study: they are those of its tables, and its tables are of the "
"committed definition."""

from pathlib import Path

import pytest
from tests.experiments.conftest import STUDY

from trace_retriever.experiments import report
from trace_retriever.experiments.study import read_study
from trace_retriever.experiments.tables import Tables
from trace_retriever.experiments.units import units
from trace_retriever.experiments.work import definition
from trace_retriever.io.files import read_json
from trace_retriever.replay.tables import PAPER

ROOT = STUDY.parents[1]
RESULTS = ROOT / "experiments/results"


@pytest.fixture(scope="module")
def tables() -> Tables:
    return Tables(read_study(STUDY), RESULTS)


def test_every_table_is_of_the_committed_definition(tables: Tables) -> None:
    known = {unit.key: unit for unit in units(tables.study)}
    for path in sorted((RESULTS / "runs").glob("*.json")):
        assert read_json(path)["definition"] == definition(tables.study, known[path.stem]), path.name


def test_answers_and_report_are_those_of_the_tables(tables: Tables) -> None:
    found = report.answers(tables, ROOT / report.ENGINE, ROOT / report.REPLAY, ROOT / PAPER)
    assert [one.number for one in found] == list(range(1, 11))
    assert read_json(RESULTS / "answers.json") == report.as_records(found)
    assert (RESULTS / "report.md").read_text(encoding="utf-8") == report.as_markdown(found, tables)


def test_no_committed_figure_names_a_path_of_a_machine() -> None:
    for path in (RESULTS / "runs").glob("*.json"):
        assert "/tmp" not in path.read_text(), path.name
    assert Path(RESULTS / "report.html").stat().st_size < 2_000_000
