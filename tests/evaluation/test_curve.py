import numpy as np
import pytest
from tests.evaluation.made_outcomes import outcomes_of, random_outcomes

from trace_retriever.evaluation.budget import choose_route
from trace_retriever.evaluation.curve import menu, route_curve
from trace_retriever.evaluation.outcomes import AVERAGE, TOKENS
from trace_retriever.evaluation.systems import Routing

OPTIONS = {"resamples": 100, "seed": 1}
MARKED = {"never", "auto", "oracle", "always", "budget", "hindsight"}


def test_a_curve_runs_from_never_to_always_through_the_systems() -> None:
    val, test = random_outcomes(0), random_outcomes(1)
    curve = route_curve(val, {"val": val, "test": test}, Routing(0.3), TOKENS, **OPTIONS)
    assert set(curve["point"]) == {"", *MARKED}
    assert set(curve["pair"]) == {"mojihop_task1", "mojicap_task0", AVERAGE}
    for split in ("val", "test"):
        mean = curve[(curve["split"] == split) & (curve["pair"] == AVERAGE)]
        line, marked = mean[mean["point"] == ""], mean.set_index("point")
        assert line["cost"].is_monotonic_increasing
        for end, row in (("never", 0), ("always", -1)):
            for figure in ("headline", "cost", "low", "high"):
                assert line[figure].iloc[row] == pytest.approx(marked.loc[end, figure])
        assert (mean["low"] <= mean["headline"]).all()
        assert (mean["headline"] <= mean["high"]).all()
        assert marked.loc["hindsight", "headline"] >= mean["headline"].max() - 1e-9


def test_without_the_truth_there_is_no_oracle() -> None:
    table = random_outcomes(0).assign(true_route=None)
    curve = route_curve(table, {"val": table}, Routing(), TOKENS, **OPTIONS)
    assert set(curve["point"]) == {"", *MARKED} - {"oracle"}


def test_the_menus_budgets_are_kept_where_they_were_chosen_and_more_never_finds_less() -> None:
    val, test = random_outcomes(0), random_outcomes(1)
    entries = menu(val, test, TOKENS)
    *limited, free = entries
    assert free["limit"] is None
    assert all(entry["chosen_on"]["cost"] <= entry["limit"] + 1e-9 for entry in limited)
    found = [entry["chosen_on"]["headline"] for entry in entries]
    assert found == sorted(found)
    assert free["chosen_on"] == choose_route(val, TOKENS, None)[1]["expected"]


def test_a_model_that_never_reasons_has_a_menu_too() -> None:
    table = outcomes_of("mojicap_task0", [0.9, 0.95], [1, 0], [0, 1])
    entries = menu(table, table, TOKENS)
    assert [entry["limit"] for entry in entries] == [0.0, None]
    assert np.isfinite(entries[0]["scored"]["headline"])
