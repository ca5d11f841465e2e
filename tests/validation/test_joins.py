from pathlib import Path

import pandas as pd
import pytest
from tests.validation.made import HOP, SIZES, edit_lines, pool_path

from trace_retriever.config.validate import ReachabilityParams
from trace_retriever.mbeir.layout import Layout
from trace_retriever.validation.joins import positive_table, reachability
from trace_retriever.validation.tables import candidate_table, qrels_table, query_table


def positives(root: Path, params: ReachabilityParams) -> pd.DataFrame:
    layout = Layout(root / "mbeir")
    return positive_table(layout, query_table(layout), candidate_table(layout), qrels_table(layout), params)


def test_reachability_is_reported_per_split_and_pair(made: Path) -> None:
    edit_lines(pool_path(made, HOP, "test"), lambda rows: rows.pop())
    found = reachability(positives(made, ReachabilityParams()))
    assert found["test"]["mojihop_task1"] == {"local": pytest.approx(1 - 1 / SIZES["test"]), "global": 1.0}
    assert found["train"]["mojihop_task1"] == {"local": 1.0, "global": 1.0}


def test_data_sets_that_share_positives_may_have_unreachable_ones(made: Path) -> None:
    edit_lines(pool_path(made, HOP, "test"), lambda rows: rows.pop())
    strict = positives(made, ReachabilityParams())
    lenient = positives(made, ReachabilityParams(siblings=("mojihop",), siblings_min_local=0.5))
    assert strict["unreachable_local"].dropna().tolist() == ["14:115"]
    assert lenient["unreachable_local"].dropna().tolist() == []
    assert lenient["local"].sum() == len(lenient) - 1
