from pathlib import Path

import pytest
from tests.validation.made import HOP, SIZES, edit_lines, pool_path

from trace_retriever.config.validate import ReachabilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.validation.joins import Positives
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import Queries
from trace_retriever.validation.tables import qrels_table


def positives(root: Path, params: ReachabilityParams) -> Positives:
    layout, work = Layout(root / "mbeir"), root / "work"
    return Positives(
        layout, Queries(layout, work), Candidates(layout, work), qrels_table(layout, work), params
    )


def test_reachability_is_reported_per_split_and_pair(made: Path) -> None:
    edit_lines(pool_path(made, HOP, "test"), lambda rows: rows.pop())
    found = positives(made, ReachabilityParams()).reachability()
    assert found["test"]["mojihop_task1"] == {"local": pytest.approx(1 - 1 / SIZES["test"]), "global": 1.0}
    assert found["train"]["mojihop_task1"] == {"local": 1.0, "global": 1.0}


def test_data_sets_that_share_positives_may_have_unreachable_ones(made: Path) -> None:
    edit_lines(pool_path(made, HOP, "test"), lambda rows: rows.pop())
    (strict,) = positives(made, ReachabilityParams()).parts()
    lenient = positives(made, ReachabilityParams(siblings=("mojihop",), siblings_min_local=0.5))
    (frame,) = lenient.parts()
    assert strict["unreachable_local"].dropna().tolist() == ["14:115"]
    assert frame["unreachable_local"].dropna().tolist() == []
    assert lenient.local.sum() == frame["local"].sum() == len(frame) - 1
