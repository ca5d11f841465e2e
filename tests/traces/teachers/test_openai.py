import base64
import io
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.traces.chat_server import TOKENS, Reply, Script, Seen, good_answer, serving

from trace_retriever.config.teacher import OpenaiTeacherParams
from trace_retriever.errors import ConfigError, TeacherError
from trace_retriever.traces.answers import Answers
from trace_retriever.traces.ask import Asking
from trace_retriever.traces.examples import Example
from trace_retriever.traces.teachers.base import UnansweredError, Written
from trace_retriever.traces.teachers.chat import PromptedTeacher, TeacherRequest
from trace_retriever.traces.teachers.limits import BudgetSpentError
from trace_retriever.traces.teachers.openai import OpenaiChat

KEY = "sk-secret-0123456789"


def chat(seen: Seen, *, max_tokens: int = 64, **params: Any) -> OpenaiChat:
    quick = {"backoff_seconds": 0.01, "backoff_max_seconds": 1.0, "timeout_seconds": 10.0, "attempts": 3}
    known = OpenaiTeacherParams(base_url=seen.url, model="m", **{**quick, **params})
    return OpenaiChat(known, KEY, max_tokens)


def request(text: str = "Query, words: a dog", images: Sequence[Path] = ()) -> TeacherRequest:
    return TeacherRequest(id="6:1", system="Write.", text=text, images=tuple(images), max_tokens=64)


def first(*replies: Reply) -> Script:
    """These replies, then good ones."""
    return lambda number, body: replies[number] if number < len(replies) else good_answer(number, body)


def ask_all(teacher: PromptedTeacher, examples: list[Example], work: Path, share: float) -> Answers[Written]:
    asking = Asking(teacher=teacher, max_failed_share=share, work=work)
    return asking.ask(examples, lambda e: teacher.write(e, sees_target=True), Written, "traces")


def test_words_pictures_and_limits_are_sent(tmp_path: Path) -> None:
    large, small = tmp_path / "large.png", tmp_path / "small.png"
    Image.new("RGB", (600, 300), (200, 10, 10)).save(large)
    Image.new("RGB", (48, 48), (10, 200, 10)).save(small)
    with serving(good_answer) as seen:
        answer = chat(seen, image_side=400).complete(request(images=[large, small]))
    assert answer.startswith("<reasoning>")
    (body,) = seen.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 64)
    assert seen.keys == [f"Bearer {KEY}"]
    *pictures, words = body["messages"][1]["content"]
    assert words["text"] == "Query, words: a dog"
    sizes = []
    for picture in pictures:
        head, _, content = picture["image_url"]["url"].partition(",")
        image = Image.open(io.BytesIO(base64.b64decode(content)))
        assert head == f"data:image/{(image.format or '').lower()};base64"
        sizes.append(image.size)
    assert sizes == [(400, 200), (48, 48)]


def test_the_name_of_the_limit_is_a_setting() -> None:
    with serving(good_answer) as seen:
        chat(seen, limit_field="max_completion_tokens").complete(request())
    assert seen.bodies[0]["max_completion_tokens"] == 64
    assert "max_tokens" not in seen.bodies[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_faults_are_tried_again(status: int) -> None:
    with serving(first(Reply(status=status), Reply(status=status))) as seen:
        assert "a dog" in chat(seen).complete(request())
    assert len(seen.bodies) == 3


def test_retry_after_is_respected_up_to_the_longest_wait() -> None:
    with serving(first(Reply(status=429, headers={"Retry-After": "0.4"}))) as seen:
        chat(seen).complete(request())
    assert 0.35 < seen.times[1] - seen.times[0] < 3
    with serving(first(Reply(status=429, headers={"Retry-After": "3600"}))) as seen:
        chat(seen, backoff_max_seconds=0.1).complete(request())
    assert seen.times[1] - seen.times[0] < 3


def test_backoff_doubles() -> None:
    with serving(first(*[Reply(status=500)] * 3)) as seen:
        chat(seen, backoff_seconds=0.2, attempts=4).complete(request())
    waits = [after - before for before, after in zip(seen.times, seen.times[1:], strict=False)]
    assert waits[0] >= 0.19
    assert waits[1] >= 0.39
    assert waits[2] >= 0.79


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=500), "HTTP 500"),
        (Reply(status=429), "HTTP 429"),
        (Reply(status=400), "HTTP 400"),
        (Reply(delay=0.6), "timeout"),
        (Reply(text=""), "empty answer"),
        (Reply(text="cut", finish="length"), "cut at 64 tokens"),
    ],
)
def test_what_cannot_be_had_is_unanswered(reply: Reply, reason: str) -> None:
    with serving(lambda _n, _b: reply) as seen, pytest.raises(UnansweredError, match=reason):
        chat(seen, attempts=2, timeout_seconds=0.3 if reply.delay else 10.0).complete(request())
    assert len(seen.bodies) == (1 if reply.status in (200, 400) and not reply.delay else 2)


def test_nobody_there() -> None:
    with serving(good_answer) as seen:
        pass
    with pytest.raises(UnansweredError, match="no connection"):
        chat(seen).complete(request())


@pytest.mark.parametrize(
    "reply", [Reply(status=401), Reply(status=404), Reply(status=429, text="insufficient_quota")]
)
def test_a_refused_key_ends_the_run_at_once_and_is_never_told(reply: Reply) -> None:
    with serving(lambda _n, _b: reply) as seen, pytest.raises(TeacherError) as caught:
        chat(seen).complete(request())
    assert len(seen.bodies) == 1
    assert "sk-" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_more_requests_at_once_than_allowed(examples: list[Example], tmp_path: Path) -> None:
    def slow(number: int, body: dict[str, Any]) -> Reply:
        reply = good_answer(number, body)
        reply.delay = 0.05
        return reply

    with serving(slow) as seen:
        answers = ask_all(PromptedTeacher(chat(seen, concurrency=3), 64), examples[:12], tmp_path, 0.0)
    assert seen.most_at_once == 3
    assert list(answers.given) == [example.qid for example in examples[:12]]


def test_requests_start_no_faster_than_the_rate() -> None:
    with serving(good_answer) as seen:
        model = chat(seen, requests_per_minute=600)
        started = time.monotonic()
        for _ in range(4):
            model.complete(request())
        took = time.monotonic() - started
    assert len(seen.bodies) == 4
    assert (
        took >= 0.3
    )  # three gaps of a tenth of a second; measured here, since arrivals jitter on a busy machine


def test_the_budget_stops_the_run_and_a_rerun_goes_on(examples: list[Example], tmp_path: Path) -> None:
    examples = examples[:10]
    with serving(good_answer) as seen:

        def run_again() -> Answers[Written]:
            teacher = PromptedTeacher(chat(seen, token_budget=6 * TOKENS + 64, concurrency=2), 64)
            return ask_all(teacher, examples, tmp_path, 0.0)

        with pytest.raises(BudgetSpentError, match="run again"):
            run_again()
        assert 6 <= len(seen.bodies) <= 8
        answers = run_again()
    assert len(seen.bodies) == len(examples)  # nothing is asked, or paid for, twice
    assert list(answers.given) == [example.qid for example in examples]


def test_a_budget_needs_an_endpoint_that_counts() -> None:
    with serving(lambda _n, _b: Reply(text="x", tokens=None)) as seen:
        assert chat(seen).complete(request()) == "x"
        with pytest.raises(TeacherError, match="token_budget to 0"):
            chat(seen, token_budget=1000).complete(request())


def test_a_budget_below_one_answer_is_refused() -> None:
    with pytest.raises(ConfigError, match="token_budget"):
        OpenaiChat(OpenaiTeacherParams(model="m", token_budget=10), KEY, 64)


def test_garbage_is_counted_and_too_much_of_it_stops_the_run(examples: list[Example], tmp_path: Path) -> None:
    def script(number: int, body: dict[str, Any]) -> Reply:
        words = body["messages"][1]["content"][-1]["text"]
        return Reply("no tags here") if "crab" in words.lower() else good_answer(number, body)

    bad = [example for example in examples if "crab" in example.words.lower()]
    assert 0 < len(bad) < len(examples)
    with serving(script) as seen:
        teacher = PromptedTeacher(chat(seen), 64)
        answers = ask_all(teacher, examples, tmp_path / "a", share=0.9)
        reasons = {failure.reason for failure in answers.failures}
        assert reasons == {"malformed answer: tag <reasoning> missing"}
        assert len(answers.given) + len(answers.failures) == len(examples)
        assert not {failure.example.qid for failure in answers.failures} & set(answers.given)
        with pytest.raises(TeacherError, match=r"at most 0\.0% may: \d+ x malformed") as caught:
            ask_all(teacher, examples, tmp_path / "b", share=0.0)
        assert "answers so far are kept" in str(caught.value)


def test_stopping_ends_the_waiting_between_tries(examples: list[Example], tmp_path: Path) -> None:
    """One fatal failure must not leave the others to their minute of backoff."""

    def script(number: int, _: dict[str, Any]) -> Reply:
        return Reply("garbage") if number == 0 else Reply(status=503, headers={"Retry-After": "60"})

    with serving(script) as seen:
        teacher = PromptedTeacher(chat(seen, concurrency=4, backoff_max_seconds=60.0, attempts=5), 64)
        start = time.monotonic()
        with pytest.raises(TeacherError, match="malformed") as caught:
            ask_all(teacher, examples, tmp_path, share=0.0)
        workers = [thread.name for thread in threading.enumerate() if "ThreadPool" in thread.name]
    assert caught.value.exit_code == 1  # the error, and with it its frames, is still alive
    assert workers == []
    assert time.monotonic() - start < 20
