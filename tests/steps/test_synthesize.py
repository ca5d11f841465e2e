import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.steps.traces_chain import content, run, start_synthesize
from tests.traces.chat_server import TOKENS, Reply, Seen, good_answer, serving
from tests.traces.made import make_dataset

from trace_retriever.errors import DataError, TeacherError
from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.records import Trace

KEY = "sk-very-secret-98765"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthesize")
    make_dataset(path / "mbeir")
    run(path, "route", "route.compare=[]")
    return path


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def openai(seen: Seen, **params: Any) -> list[str]:
    known = {"base_url": seen.url, "model": "m", "api_key_env": "THE_KEY", "backoff_seconds": 0.01}
    return [
        "synthesize.teacher.kind=openai",
        "synthesize.blind_queries=5",
        *(f"synthesize.teacher.openai.{key}={value}" for key, value in {**known, **params}.items()),
    ]


def test_the_scene_teacher_writes_for_every_complex_train_and_val_query(base: Path) -> None:
    metrics = run(base, "synthesize", "synthesize.blind_queries=7")
    traces = list(read_jsonl(base / "traces" / "traces.jsonl", Trace))
    assert len(traces) == metrics["written"] == 2 * (12 + 4)
    assert metrics["splits"] == {"train": 24, "val": 8}
    assert [trace.qid for trace in traces] == sorted((t.qid for t in traces), key=query_number)
    assert all(trace.sees_target and trace.teacher == "scene" for trace in traces)
    blind = list(read_jsonl(base / "traces" / "blind.jsonl", Trace))
    assert len(blind) == 7
    assert not any(trace.sees_target for trace in blind)
    assert (base / "traces" / "failed.jsonl").read_text() == ""
    assert "data:image/png;base64," in (base / "results" / "synthesize" / "report.html").read_text()


def test_a_blind_teacher_needs_no_second_sample(base: Path) -> None:
    run(base, "synthesize", "synthesize.sees_target=false", out="blind-only")
    assert (base / "blind-only" / "blind.jsonl").read_text() == ""
    assert not any(t.sees_target for t in read_jsonl(base / "blind-only" / "traces.jsonl", Trace))


def test_failures_are_recorded_and_everything_is_somewhere_once(base: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Reply:
        if "swap" in body["messages"][1]["content"][-1]["text"].lower():
            return Reply("no idea")
        return good_answer(number, body)

    with serving(script) as seen:
        metrics = run(
            base, "synthesize", *openai(seen), "synthesize.teacher.max_failed_share=0.6", out="failing"
        )
    failed = [json.loads(line) for line in (base / "failing" / "failed.jsonl").read_text().splitlines()]
    traces = [trace.qid for trace in read_jsonl(base / "failing" / "traces.jsonl", Trace)]
    assert 0 < len(failed) == metrics["failed"]
    assert metrics["failures"] == {"malformed answer: tag <reasoning> missing": len(failed)}
    assert len(traces) + len(failed) == 32 == len({*traces, *(row["qid"] for row in failed)})


def test_too_many_failures_stop_the_step_and_a_rerun_asks_only_for_the_rest(base: Path) -> None:
    broken = True

    def script(number: int, body: dict[str, Any]) -> Reply:
        return Reply(status=400) if broken and number >= 20 else good_answer(number, body)

    with serving(script) as seen:
        with pytest.raises(TeacherError, match="HTTP 400"):
            run(base, "synthesize", *openai(seen, concurrency=1), out="rerun")
        assert not (base / "rerun").exists()
        broken = False
        asked = len(seen.bodies)
        metrics = run(base, "synthesize", *openai(seen, concurrency=1), out="rerun")
        assert len(seen.bodies) - asked == 32 - 20 + 5
    assert metrics["written"] == 32


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(base: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Reply:
        reply = good_answer(number, body)
        reply.delay = 0.15
        return reply

    with serving(script) as seen:
        overrides = openai(seen, concurrency=2)
        first = start_synthesize(base, overrides, KEY)
        deadline = time.monotonic() + 240
        while len(seen.bodies) < 12 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        said, _ = first.communicate()
        assert first.returncode == -signal.SIGKILL, said.decode()
        assert not (base / "killed").exists()
        asked = len(seen.bodies)
        second = start_synthesize(base, overrides, KEY)
        more, _ = second.communicate(timeout=240)
        assert second.returncode == 0, more.decode()
        assert len(seen.bodies) - asked <= 32 + 5 - (asked - 2)  # at most what was under way is asked again
        run(base, "synthesize", *overrides, out="unbroken")
    assert content(base / "killed") == content(base / "unbroken")
    told = said + more + b"".join(p.read_bytes() for p in base.rglob("*") if p.is_file())
    assert KEY.encode() not in told


def test_a_spent_budget_says_how_to_go_on(base: Path) -> None:
    with serving(good_answer) as seen:
        overrides = [
            *openai(seen, token_budget=20 * TOKENS, concurrency=2),
            "synthesize.teacher.max_tokens=16",
        ]
        with pytest.raises(TeacherError, match="run again"):
            run(base, "synthesize", *overrides, out="budget")
        assert run(base, "synthesize", *overrides, out="budget")["written"] == 32
        assert len(seen.bodies) == 32 + 5


def test_routes_of_another_data_set_are_refused(base: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "mbeir", train=2, val=2)
    (tmp_path / "routes").symlink_to(base / "routes")
    with pytest.raises(DataError, match="not in the data set"):
        run(tmp_path, "synthesize")
