import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu, spearmanr
from tests.evaluation.made_outcomes import outcomes_of, random_outcomes

from trace_retriever.evaluation.reliability import auc, reliability, spearman
from trace_retriever.evaluation.router_report import findings

OPTIONS = {"resamples": 200, "seed": 1}
ROUTES = {"mojihop_task1": "complex", "mojicap_task0": "simple"}


def knowing(count: int, *, knows: bool) -> pd.DataFrame:
    """A complex pair whose traces help where P is low, or anywhere, and a simple pair without any gain."""
    rng = np.random.default_rng(0)
    p_emb = np.exp(rng.uniform(-12, -3, count))
    helped = p_emb < np.median(p_emb) if knows else rng.random(count) < 0.5
    hard = outcomes_of("mojihop_task1", p_emb.tolist(), [0.0] * count, helped.astype(float).tolist())
    easy = outcomes_of("mojicap_task0", [0.999] * count, [1.0] * count, [1.0] * count)
    return pd.concat([hard, easy], ignore_index=True)


@pytest.mark.parametrize("seed", range(3))
def test_rank_figures_are_scipys(seed: int) -> None:
    table = random_outcomes(seed)
    p_emb, gain = table["p_emb"].to_numpy(), (table["reasoned"] - table["direct"]).to_numpy()
    assert float(spearman(p_emb, gain)) == pytest.approx(spearmanr(-p_emb, gain).statistic)
    helped, others = p_emb[gain > 0], p_emb[gain <= 0]
    expected = mannwhitneyu(-helped, -others).statistic / (len(helped) * len(others))
    assert float(auc(p_emb, gain)) == pytest.approx(expected)
    rows = np.stack([p_emb, p_emb[::-1]]), np.stack([gain, gain])
    for statistic in (spearman, auc):
        each = [statistic(one, two) for one, two in zip(*rows, strict=True)]
        np.testing.assert_allclose(statistic(*rows), each)


def test_a_router_that_knows_is_told_from_one_that_does_not() -> None:
    for knows in (True, False):
        found = reliability(knowing(120, knows=knows), ROUTES, **OPTIONS)
        group = found["groups"]["complex pairs"]
        assert group == found["groups"]["mojihop_task1"]
        assert (group["rank_correlation"]["low"] > 0.5) is knows
        assert (group["auc"]["low"] > 0.9) is knows
        assert group["auc"]["low"] <= group["auc"]["mean"] <= group["auc"]["high"]
        named = "better a trace does: mojihop_task1 (rank correlation" in findings(found)[-1]
        assert named is knows


def test_bins_hold_all_queries_once_and_in_order() -> None:
    group = reliability(knowing(120, knows=True), ROUTES, **OPTIONS)["groups"]["complex pairs"]
    assert sum(one["queries"] for one in group["bins"]) == group["queries"] == 120
    edges = [end for one in group["bins"] for end in (one["lowest"], one["highest"])]
    assert edges == sorted(edges)
    assert group["bins"][0]["gain"]["mean"] == 1.0
    assert group["bins"][-1]["gain"]["mean"] == 0.0


def test_where_nothing_changes_there_is_nothing_to_say() -> None:
    found = reliability(knowing(40, knows=True), ROUTES, **OPTIONS)
    simple = found["groups"]["simple pairs"]
    assert (simple["helped"], simple["harmed"]) == (0, 0)
    assert simple["rank_correlation"] is simple["auc"] is None
    assert "too few gains differ" in " ".join(findings(found))
    assert len(simple["bins"]) == 1


def test_shares_in_between_and_what_the_probability_means() -> None:
    table = outcomes_of("mojihop_task1", [0.001, 0.03, 0.5, 0.97, 0.999], [1.0] * 5, [1.0] * 5)
    found = reliability(table, ROUTES, **OPTIONS)
    assert found["between"] == {"0.01": 0.6, "0.05": 0.2, "0.1": 0.2}
    assert found["truth"]["accuracy"] == 1.0
    assert found["truth"]["brier"] == pytest.approx(np.mean([1e-6, 9e-4, 0.25, 9e-4, 1e-6]), rel=1e-4)
    assert reliability(table.assign(true_route=None), ROUTES, **OPTIONS)["truth"] is None
