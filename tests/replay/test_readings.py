from pathlib import Path

import pytest

from trace_retriever.errors import DataError
from trace_retriever.io.files import read_json
from trace_retriever.replay.ablations import against_chosen
from trace_retriever.replay.readings import all_readings
from trace_retriever.replay.recall import versus, wrong_means
from trace_retriever.replay.tables import read_ablation, read_modes, read_recall, read_table
from trace_retriever.replay.throughput import Mix, harmonic, needed_turns, read_mix

VERDICTS = {
    "means": "supported",
    "state-of-the-art": "not supported",
    "lamra": "supported",
    "elva": "cannot tell",
    "same-backbone": "not supported",
    "gain-where-it-reasons": "supported",
    "zero-shot": "supported",
    "position": "supported",
    "full-trace": "supported",
    "half-trace": "cannot tell",
    "candidate-side": "supported",
    "needs-generation": "supported",
    "best-lambda": "cannot tell",
    "rate-mscoco": "not supported",
    "rate-cirr": "not supported",
    "adaptive-over-always": "supported",
    "gain-by-routing": "cannot tell",
    "tables-agree": "not supported",
    "own-engine": "supported",
}


def test_every_claim_has_its_verdict(root: Path, paper: Path) -> None:
    modes = read_json(root / "benchmarks/results/engine.json")["sections"]["modes"]
    assert {one.key: one.verdict for one in all_readings(paper, modes)} == VERDICTS


def test_who_is_ahead(paper: Path) -> None:
    recall = read_recall(paper)
    lamra, elva = versus(recall, "TRACE", "LamRA-Ret"), versus(recall, "TRACE", "ELVA")
    assert (len(lamra.wins), len(lamra.losses)) == (16, 0)
    assert "mscoco_task0" in elva.losses
    assert elva.clear == ["webqa_task1", "oven_task6"]
    assert lamra.mean.value == pytest.approx(0.0217, abs=1e-4)


def test_a_wrong_mean_is_found(paper: Path) -> None:
    recall = read_recall(paper)
    assert wrong_means(recall) == []
    recall.loc["TRACE", "average"] = 0.6
    assert wrong_means(recall) == ["TRACE"]


def test_ablations_share_one_published_row(paper: Path) -> None:
    rows = [read_ablation(paper, name) for name in ("position", "parts", "candidates", "lambda_gen")]
    chosen = [table[table["chosen"]].iloc[0].drop("chosen").tolist() for table in rows]
    assert all(one == pytest.approx([0.2837, 0.5703, 0.683]) for one in chosen)
    assert len(against_chosen(rows[3])) == 9


def test_routing_predicts_other_rates_than_were_measured(paper: Path) -> None:
    mixes = [read_mix(read_modes(paper), read_table(paper, "routing"), name) for name in ("mscoco", "cirr")]
    assert [round(mix.predicted, 1) for mix in mixes] == [14.2, 4.7]
    assert [round(mix.ratio, 2) for mix in mixes] == [0.58, 1.38]
    for mix in mixes:
        low, high = mix.predicted_range()
        assert low < mix.predicted < high
        assert harmonic(mix.direct, mix.always, mix.implied_share) == pytest.approx(mix.adaptive)
    assert needed_turns(0.874, 0.891, 0.04) == pytest.approx(0.425)


def test_a_mix_of_one_kind_is_its_rate() -> None:
    mix = Mix(direct=10.0, always=2.0, adaptive=10.0, share=0.0)
    assert (mix.predicted, mix.implied_share) == (10.0, 0.0)
    assert harmonic(10.0, 2.0, 1.0) == pytest.approx(2.0)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="table not found"):
        read_table(tmp_path, "mbeir_local")
