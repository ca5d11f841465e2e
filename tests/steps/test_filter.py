import json
from pathlib import Path

import pytest
from tests.steps.traces_chain import content, run
from tests.traces.chat_server import Reply, good_answer, serving
from tests.traces.made import make_dataset

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import dump_line, read_jsonl
from trace_retriever.mbeir.records import Trace


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filter")
    make_dataset(path / "mbeir")
    run(path, "route", "route.compare=[]")
    run(path, "synthesize", "synthesize.teacher.scene.error_rate=0.4")
    return path


def split(base: Path, out: str = "kept") -> tuple[list[Trace], list[dict[str, str]]]:
    dropped = (base / out / "dropped.jsonl").read_text().splitlines()
    return list(read_jsonl(base / out / "kept.jsonl", Trace)), [json.loads(line) for line in dropped]


def test_every_trace_is_kept_or_dropped_with_a_reason(base: Path) -> None:
    metrics = run(base, "filter")
    kept, dropped = split(base)
    written = [trace.qid for trace in read_jsonl(base / "traces" / "traces.jsonl", Trace)]
    assert sorted([trace.qid for trace in kept] + [row["qid"] for row in dropped]) == sorted(written)
    assert all(row["stage"] and row["rule"] and row["detail"] for row in dropped)
    assert all(trace.confidence is not None and trace.confidence > 0.7 for trace in kept)
    assert sum(metrics["dropped_by"].values()) == len(dropped) > 0


def test_wrong_answers_are_found_and_measured_against_the_truth(base: Path) -> None:
    found = run(base, "filter", out="measured")["against_truth"]
    assert found["wrong"] > 0
    assert found["recall_of_wrong_answers"] == 1.0
    assert found["wrong_share_after"] < found["wrong_share_before"]
    kept, dropped = split(base, "measured")
    truth = {
        row["qid"]: row["answer"]
        for name in ("train", "val")
        for row in map(json.loads, (base / "mbeir" / "truth" / f"{name}.jsonl").read_text().splitlines())
    }
    assert all(trace.answer == truth[trace.qid] for trace in kept)
    assert dropped


def test_leakage_is_measured_on_the_blind_sample(base: Path) -> None:
    found = run(base, "filter", out="leakage")["leakage"]
    assert found["queries"] == 24
    assert found["difference"]["low"] <= 0 <= found["difference"]["high"]
    assert "Leakage" in (base / "results" / "leakage" / "report.html").read_text()


def test_the_same_inputs_give_the_same_bytes(base: Path) -> None:
    run(base, "filter", out="one")
    run(base, "filter", out="two")
    assert content(base / "one") == content(base / "two")
    assert (base / "results/one/report.html").read_bytes() == (base / "results/two/report.html").read_bytes()


def test_a_rule_drops_before_the_verifier(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mbeir").symlink_to(base / "mbeir")
    traces = list(read_jsonl(base / "traces" / "traces.jsonl", Trace))
    traces[3] = traces[3].model_copy(update={"reasoning": "I'm sorry, I cannot see the picture."})
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "traces.jsonl").write_text("".join(map(dump_line, traces)))
    (tmp_path / "traces" / "blind.jsonl").write_text("")
    metrics = run(tmp_path, "filter")
    assert metrics["dropped_by"]["coarse.refusal"] == 1
    assert metrics["coarse_rules_broken"]["refusal"] == 1
    assert "not_measured" in metrics["leakage"]
    row = next(row for row in split(tmp_path)[1] if row["qid"] == traces[3].qid)
    assert (row["stage"], row["rule"]) == ("coarse", "refusal")


def test_a_teacher_verifies(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def script(number: int, body: dict[str, object]) -> Reply:
        verdicts = ['{"decision": "inconsistent", "confidence": 0.9}', "hm", None]
        text = verdicts[number % 3]
        return Reply(text) if text else good_answer(number, body)

    with serving(script) as seen:
        metrics = run(
            base,
            "filter",
            "filter.fine.verifier=teacher",
            "filter.fine.teacher.kind=openai",
            "filter.fine.teacher.max_failed_share=0.5",
            f"filter.fine.teacher.openai.base_url={seen.url}",
            "filter.fine.teacher.openai.model=m",
            "filter.fine.teacher.openai.api_key_env=''",
            "filter.fine.teacher.openai.concurrency=1",
            out="taught",
        )
        assert len(seen.bodies) == 32
    assert metrics["dropped_by"] == {"fine.inconsistent": 11, "fine.unverified": 11}
    assert metrics["kept"] == 10


def test_without_a_verifier_confidence_is_unknown(base: Path) -> None:
    run(base, "filter", "filter.fine.verifier=none", out="unverified")
    assert all(trace.confidence is None for trace in split(base, "unverified")[0])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lines: [*lines, lines[0]], "twice"),
        (lambda lines: [lines[0].replace('"14:1"', '"14:4999"'), *lines[1:]], "no train or val query"),
        (lambda lines: ['{"qid": "14:1"}', *lines], "traces.jsonl:1"),
    ],
)
def test_damaged_traces_are_refused(base: Path, tmp_path: Path, change: object, problem: str) -> None:
    assert callable(change)
    (tmp_path / "mbeir").symlink_to(base / "mbeir")
    (tmp_path / "traces").mkdir()
    lines = (base / "traces" / "traces.jsonl").read_text().splitlines()
    (tmp_path / "traces" / "traces.jsonl").write_text("\n".join(change(lines)) + "\n")
    (tmp_path / "traces" / "blind.jsonl").write_text("")
    with pytest.raises(DataError, match=problem):
        run(tmp_path, "filter")
