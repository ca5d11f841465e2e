from pathlib import Path

import pytest
import yaml
from tests.cards.chain import RATES, write_chain

from trace_retriever.cards.card import model_card
from trace_retriever.cards.figures import card_rows
from trace_retriever.config.register import RegisterConfig
from trace_retriever.io.files import read_json


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_chain(tmp_path)


def test_the_rows_of_a_card_are_the_evaluations(chain: Path) -> None:
    others, rows = card_rows(chain / "evaluation", "auto", "local")
    assert others == ["never"]
    assert {row["pair"]: row["value"] for row in rows} == pytest.approx(RATES)
    (hop,) = [row for row in rows if row["pair"] == "mojihop_task1"]
    assert hop["low"] < 0.8 < hop["high"]
    assert hop["others"] == pytest.approx([0.2])
    assert (hop["reasoning"], hop["true_route"], hop["queries"]) == (1.0, "complex", 200)


def test_the_front_matter_is_what_the_hub_reads(chain: Path) -> None:
    card = model_card(
        RegisterConfig(version="2.0.0"), chain / "evaluation", read_json(chain / "verdict/verdict.json")
    )
    _, front, body = card.split("---\n", 2)
    data = yaml.safe_load(front)
    assert (data["license"], data["library_name"], data["version"]) == ("apache-2.0", "transformers", "2.0.0")
    figures = {
        result["dataset"]["type"]: result["metrics"][0]["value"]
        for result in data["model-index"][0]["results"]
    }
    assert figures == pytest.approx(RATES)
    assert body.startswith("\n# trace 2.0.0\n")


def test_the_card_has_figures_attribution_verdict_and_limits(chain: Path) -> None:
    card = model_card(RegisterConfig(), chain / "evaluation", read_json(chain / "verdict/verdict.json"))
    assert "CC BY-SA 4.0" in card
    assert "There was no champion to compare with." in card
    for heading in ("Intended use", "Data and attribution", "Figures", "Gate", "Limits"):
        assert f"\n## {heading}\n" in card
    (row,) = [line for line in card.splitlines() if line.startswith("| mojihop_task1 (complex)")]
    assert "| 0.800 |" in row
    assert "| 0.200 |" in row
    table = [line for line in card.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(RATES) + 1
    assert len({line.count("|") for line in table}) == 1
    assert table[-1] == "| **average** | | **0.800** | | | 0.600 |"
    assert card.endswith("\n")
    assert not any(line != line.rstrip() for line in card.splitlines())
