from pathlib import Path

import pandas as pd
import pytest
from tests.gates.records import FILES, QUERIES, TRUE_ROUTES, records, write_evaluation

from trace_retriever.config.gate import ChampionParams, CostParams, FloorParams, GateConfig
from trace_retriever.errors import DataError
from trace_retriever.gates.evidence import Evidence
from trace_retriever.gates.policy import judge
from trace_retriever.gates.verdict import Check, Verdict

VALID = {"success": True, "failed": [], "files": FILES}
GOOD = {"mojicap_task0": 0.9, "mojihop_task1": 0.8, "mojiedit_task7": 0.7}


def evidence(*frames: pd.DataFrame, digest: str = "sha256:one") -> Evidence:
    table = pd.concat(frames, ignore_index=True)
    routes = {pair: route for pair, route in TRUE_ROUTES.items() if pair in set(table["pair"])}
    return Evidence(queries=table, true_routes=routes, digest=digest, files=FILES)


def rule(config: GateConfig, own: Evidence, champion: Evidence | None = None) -> Verdict:
    return judge(config, own, VALID, champion, validation_digest="sha256:v")


def only(verdict: Verdict, name: str, scope: str) -> Check:
    (found,) = [check for check in verdict.checks if (check.name, check.scope) == (name, scope)]
    return found


def refused(verdict: Verdict) -> list[tuple[str, str]]:
    return [(check.name, check.scope) for check in verdict.failed]


def test_a_good_model_passes_and_the_headline_is_the_plain_mean_of_pairs() -> None:
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)))
    assert verdict.passed
    assert verdict.headline == pytest.approx({**GOOD, "average": 0.8})


def test_without_a_champion_each_comparison_is_listed_as_not_applicable() -> None:
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)))
    listed = [check for check in verdict.checks if check.name == "non-inferiority"]
    assert {check.scope for check in listed} == {"average", *GOOD}
    assert {(check.passed, check.why) for check in listed} == {(None, "not applicable: no champion")}


def test_floors_of_the_average_of_all_pairs_and_of_one_pair() -> None:
    own = evidence(records("auto", GOOD))
    assert refused(rule(GateConfig(floors=FloorParams(average=0.81)), own)) == [("floor", "average")]
    assert refused(rule(GateConfig(floors=FloorParams(pair=0.75)), own)) == [("floor", "mojiedit_task7")]
    named = FloorParams(pair=0.75, pairs={"mojiedit_task7": 0.7, "mojicap_task0": 0.95})
    verdict = rule(GateConfig(floors=named), own)
    assert refused(verdict) == [("floor", "mojicap_task0")]
    check = only(verdict, "floor", "mojicap_task0")
    assert check.interval is not None
    assert check.interval[0] < 0.9 < check.interval[1] < 0.95


def test_a_floor_of_a_pair_that_was_not_evaluated_refuses() -> None:
    verdict = rule(GateConfig(floors=FloorParams(pairs={"cirr_task7": 0.5})), evidence(records("auto", GOOD)))
    assert refused(verdict) == [("floor", "cirr_task7")]


def test_a_failed_validation_refuses_and_names_what_failed() -> None:
    failed = {"success": False, "failed": ["queries.id_form"]}
    verdict = judge(GateConfig(), evidence(records("auto", GOOD)), failed, None, validation_digest="sha256:v")
    assert refused(verdict) == [("validation", "data")]
    assert "queries.id_form" in verdict.failed[0].why


def test_an_equal_champion_lets_the_model_pass() -> None:
    own = evidence(records("auto", GOOD))
    verdict = rule(GateConfig(), own, evidence(records("auto", GOOD), digest="sha256:champion"))
    assert verdict.passed
    assert verdict.champion == "sha256:champion"
    check = only(verdict, "non-inferiority", "mojihop_task1")
    assert (check.value, check.threshold) == (0.0, -0.05)
    assert check.champion == pytest.approx(0.8)


def test_a_better_champion_refuses_on_the_pairs_it_is_better_on() -> None:
    champion = evidence(records("auto", GOOD | {"mojihop_task1": 0.95}))
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)), champion)
    assert refused(verdict) == [("non-inferiority", "average"), ("non-inferiority", "mojihop_task1")]
    check = only(verdict, "non-inferiority", "mojihop_task1")
    assert check.value == pytest.approx(-0.15)
    assert check.interval is not None
    assert check.interval[1] < 0
    assert "worse than the champion" in check.why


def test_a_champion_may_have_been_served_as_another_system() -> None:
    champion = evidence(records("auto", GOOD), records("never", GOOD | {"mojihop_task1": 0.1}))
    own = evidence(records("budget", GOOD | {"mojihop_task1": 0.5}))
    against_never = ChampionParams(system="never")
    assert rule(GateConfig(system="budget", champion=against_never), own, champion).passed
    against_auto = ChampionParams(system="auto")
    assert not rule(GateConfig(system="budget", champion=against_auto), own, champion).passed


def test_noise_that_hides_the_answer_refuses_and_says_so() -> None:
    champion = evidence(records("auto", GOOD, shift=77))  # the same rates on other queries
    verdict = rule(GateConfig(), evidence(records("auto", GOOD)), champion)
    check = only(verdict, "non-inferiority", "mojiedit_task7")
    assert (check.value, check.passed) == (0.0, False)
    assert "do not show" in check.why
    wide = GateConfig(champion=ChampionParams(margin=0.05, margins={"mojiedit_task7": 0.4}))
    assert only(
        rule(wide, evidence(records("auto", GOOD)), champion), "non-inferiority", "mojiedit_task7"
    ).passed


def test_holms_correction_is_applied_over_the_pairs() -> None:
    own, champion = records("auto", GOOD), records("auto", GOOD, shift=8)
    together = rule(GateConfig(), evidence(own), evidence(champion))
    pair = "mojiedit_task7"
    alone = rule(
        GateConfig(), evidence(own[own["pair"] == pair]), evidence(champion[champion["pair"] == pair])
    )
    raw = {
        p: only(
            rule(GateConfig(), evidence(own[own["pair"] == p]), evidence(champion[champion["pair"] == p])),
            "non-inferiority",
            p,
        ).p_value
        for p in GOOD
    }
    assert only(together, "non-inferiority", pair).p_value != only(alone, "non-inferiority", pair).p_value
    smallest = min(raw, key=lambda name: raw[name] or 0.0)
    assert only(together, "non-inferiority", smallest).p_value == pytest.approx(3 * (raw[smallest] or 0.0))


def test_a_champion_on_other_queries_or_other_content_refuses() -> None:
    own = evidence(records("auto", GOOD))
    half = records("auto", GOOD)
    half = half[half.index % 2 == 0]
    verdict = rule(GateConfig(), own, evidence(half))
    assert "answered 50% of the queries" in only(verdict, "non-inferiority", "mojihop_task1").why
    assert not verdict.passed
    other = evidence(records("auto", GOOD))
    changed = Evidence(
        other.queries, other.true_routes, other.digest, {**FILES, next(iter(FILES)): "sha256:other"}
    )
    verdict = rule(GateConfig(), own, changed)
    assert refused(verdict) == [("non-inferiority", "mojicap_task0")]
    assert "another content" in verdict.failed[0].why


def test_pairs_that_only_one_of_the_two_has() -> None:
    fewer = {pair: GOOD[pair] for pair in ("mojicap_task0", "mojihop_task1")}
    gained = rule(GateConfig(), evidence(records("auto", GOOD)), evidence(records("auto", fewer)))
    assert gained.passed
    assert only(gained, "non-inferiority", "mojiedit_task7").passed is None
    lost = rule(GateConfig(), evidence(records("auto", fewer)), evidence(records("auto", GOOD)))
    assert refused(lost) == [("non-inferiority", "mojiedit_task7")]


def test_reasoning_rates_are_bounded_above_on_simple_and_below_on_complex_pairs() -> None:
    always = records("auto", GOOD, route="complex", trace_tokens=10)
    assert refused(rule(GateConfig(), evidence(always))) == [("reasoning rate", "mojicap_task0")]
    never = records("auto", GOOD, route="simple", trace_tokens=0)
    verdict = rule(GateConfig(), evidence(never))
    assert refused(verdict) == [("reasoning rate", "mojiedit_task7"), ("reasoning rate", "mojihop_task1")]
    assert only(verdict, "truncation", "reasoning queries").passed is None


def test_a_pair_of_unknown_route_has_no_bounds() -> None:
    own = evidence(records("auto", GOOD, route="complex"))
    verdict = rule(GateConfig(), Evidence(own.queries, {}, own.digest, None))
    assert verdict.passed
    assert only(verdict, "reasoning rate", "mojicap_task0").passed is None


def test_cost_bounds_on_tokens_and_on_cut_traces() -> None:
    frame = records("auto", GOOD)
    verdict = rule(GateConfig(cost=CostParams(max_mean_tokens=7.9)), evidence(frame))
    assert refused(verdict) == [("trace tokens", "all queries")]
    assert verdict.failed[0].value == pytest.approx(8.0)  # 12 tokens on two pairs of three
    frame["truncated"] = (frame["pair"] == "mojihop_task1") & (frame.index % 5 == 0)
    verdict = rule(GateConfig(), evidence(frame))
    assert refused(verdict) == [("truncation", "reasoning queries")]
    assert verdict.failed[0].value == pytest.approx(0.1)  # of the reasoning queries alone


def test_the_baseline_must_be_matched_or_beaten_on_complex_pairs() -> None:
    encoder = records("encoder", {"mojicap_task0": 1.0, "mojihop_task1": 0.3, "mojiedit_task7": 0.7})
    own = evidence(records("auto", GOOD), encoder)
    assert rule(GateConfig(must_beat_baseline="point"), own).passed
    verdict = rule(GateConfig(must_beat_baseline="significant"), own)
    assert refused(verdict) == [("beats baseline", "mojiedit_task7")]
    check = only(verdict, "beats baseline", "mojihop_task1")
    assert check.value == pytest.approx(0.5)
    assert check.champion == pytest.approx(0.3)


def test_a_system_that_was_not_evaluated_is_an_error_that_names_those_that_were() -> None:
    own = evidence(records("auto", GOOD))
    with pytest.raises(DataError, match="auto on local"):
        rule(GateConfig(system="blend"), own)
    with pytest.raises(DataError, match="'encoder'"):
        rule(GateConfig(must_beat_baseline="point"), own)


def test_equal_inputs_give_equal_verdicts_whatever_the_order_of_rows(tmp_path: Path) -> None:
    frame, rival = records("auto", GOOD), records("auto", GOOD, shift=9)
    one = rule(GateConfig(), evidence(frame), evidence(rival))
    shuffled = frame.sample(frac=1.0, random_state=1)
    other = rule(GateConfig(), evidence(shuffled), evidence(rival.iloc[::-1]))
    assert one.as_json() == other.as_json()
    assert len(frame) == QUERIES * 3
    assert write_evaluation(tmp_path / "e", frame).is_dir()
