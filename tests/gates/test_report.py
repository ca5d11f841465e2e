from tests.gates.records import records
from tests.gates.test_policy import GOOD, evidence, rule

from trace_retriever.config.gate import FloorParams, GateConfig
from trace_retriever.gates.report import forest_plot, gate_page


def test_the_page_shows_the_verdict_every_check_and_the_comparison() -> None:
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)), evidence(records("auto", GOOD, shift=3)))
    page = gate_page(verdict)
    assert ("PASSED" in page) == verdict.passed
    assert page.count("<svg") == 2
    assert page.count("non-inferiority") >= 4
    assert page == gate_page(verdict)


def test_a_refusal_is_large_and_lists_its_reasons() -> None:
    page = gate_page(rule(GateConfig(floors=FloorParams(pair=0.75)), evidence(records("auto", GOOD))))
    assert "REFUSED" in page
    assert "0.700 is below 0.750" in page
    assert page.count("<svg") == 1
    assert "not applicable: no champion" in page


def test_a_forest_plot_has_a_line_for_each_check() -> None:
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)))
    floors = [check for check in verdict.checks if check.name == "floor"]
    (axes,) = forest_plot(floors).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["average", *sorted(GOOD)]
