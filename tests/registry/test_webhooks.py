"""Webhooks against a real receiver on loopback: signed, tried again, and never in the way of an act."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError
from tests.registry.made import DEA, NAME, World

from trace_retriever.config.promotion import Act, Webhook
from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.webhooks import MOST_ATTEMPTS, TOLERANCE, check_signature, sign

Opened = Callable[..., World]
SECRET = "a secret of a test, long enough"
VARIABLE = "TRACE_TEST_WEBHOOK"


class Receiver:
    """Answers with the codes that it was given, then 200; keeps what was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.wait = 0.0

    def hook(self, **values: Any) -> Webhook:
        return Webhook(**{"url": self.url, "secret_env": VARIABLE, **values})

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/hook")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            time.sleep(found.wait)
            code = found.answers.pop(0) if found.answers else 200
            self.send_response(code)
            if code == 302:
                self.send_header("location", f"{found.url}/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv(VARIABLE, SECRET)
    with receiving() as found:
        yield found


def test_each_event_is_told_once_and_signed(opened: Opened, receiver: Receiver) -> None:
    world = opened(webhooks=(receiver.hook(),))
    world.canary("1.0.0")
    assert world.registry.deliver().delivered == 4
    assert world.registry.deliver().delivered == 0
    told = receiver.messages()
    acts = ["register", "request", "approve", "canary"]
    assert [message["type"] for message in told] == [f"trace.version.{act}" for act in acts]
    assert told[3]["data"]["subject"] == "trace 1.0.0"
    assert told[3]["data"]["hash"] == world.registry.head()
    assert all(check_signature(SECRET, headers, body) for headers, body in receiver.got)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 4


def test_only_the_events_that_were_asked_for(opened: Opened, receiver: Receiver) -> None:
    world = opened(webhooks=(receiver.hook(events=(Act.PROMOTE, Act.ROLLBACK)),))
    world.production("1.0.0")
    assert world.registry.deliver().delivered == 1
    assert receiver.messages()[0]["type"] == "trace.version.promote"


def test_an_act_that_is_refused_tells_nobody(opened: Opened, receiver: Receiver) -> None:
    world = opened(webhooks=(receiver.hook(),))
    version = world.candidate("1.0.0")
    with pytest.raises(RegistryError):
        world.registry.request(version, by=world.who("ann"), why="")
    with pytest.raises(RegistryError):
        world.registry.promote(NAME, "1.0.0", by=world.who(DEA), why="now")
    assert world.registry.deliver().delivered == 1


@pytest.mark.parametrize("code", [500, 503, 429, 404, 302])
def test_what_is_not_taken_is_sent_again(opened: Opened, receiver: Receiver, code: int) -> None:
    world = opened(webhooks=(receiver.hook(),))
    world.candidate("1.0.0")
    receiver.answers = [code]
    assert world.registry.deliver().delivered == 1
    assert len(receiver.got) == 2
    assert receiver.got[0][1] == receiver.got[1][1]
    assert receiver.got[0][0]["webhook-id"] == receiver.got[1][0]["webhook-id"]


def test_a_receiver_that_is_down_is_told_later_and_given_up_in_the_end(
    opened: Opened, receiver: Receiver
) -> None:
    world = opened(webhooks=(receiver.hook(),))
    world.candidate("1.0.0")
    receiver.answers = [500] * 1000
    first = world.registry.deliver(tries=2)
    assert (first.delivered, first.waiting, len(receiver.got)) == (0, 1, 2)
    assert world.registry.deliver().waiting == 1
    assert len(receiver.got) == 2  # it waits
    for _ in range(MOST_ATTEMPTS):
        world.clock.move(hours=2)
        last = world.registry.deliver(tries=1)
    assert (last.waiting, last.failed, len(receiver.got)) == (0, 1, MOST_ATTEMPTS)


def test_a_receiver_that_does_not_answer_holds_nobody_up(opened: Opened, receiver: Receiver) -> None:
    world = opened(webhooks=(receiver.hook(),))
    world.candidate("1.0.0")
    receiver.wait = 1.0
    sent = world.registry.deliver(tries=1, seconds=0.2)
    assert (sent.delivered, sent.waiting) == (0, 1)
    receiver.wait = 0.0
    world.clock.move(hours=1)
    assert world.registry.deliver().delivered == 1


def test_nobody_listens(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    hook = Webhook(url="http://127.0.0.1:9/hook", secret_env=VARIABLE)
    world = opened(webhooks=(hook,))
    world.candidate("1.0.0")
    assert world.registry.deliver(tries=1).waiting == 1


@pytest.mark.parametrize("secret", [None, "short", "whsec_not base64"])
def test_without_a_proper_secret_nothing_is_sent(
    opened: Opened, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, secret: str | None
) -> None:
    monkeypatch.delenv(VARIABLE)
    if secret:
        monkeypatch.setenv(VARIABLE, secret)
    world = opened(webhooks=(receiver.hook(),))
    world.candidate("1.0.0")
    assert world.registry.deliver().waiting == 1
    monkeypatch.setenv(VARIABLE, SECRET)
    world.clock.move(hours=1)
    assert world.registry.deliver().delivered == 1
    assert len(receiver.got) == 1


def test_two_that_deliver_at_once_send_each_message_once(opened: Opened, receiver: Receiver) -> None:
    world, other = opened(webhooks=(receiver.hook(),)), opened(webhooks=(receiver.hook(),))
    world.canary("1.0.0")
    threads = [threading.Thread(target=one.registry.deliver) for one in (world, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(receiver.got) == 4


def test_a_forged_or_repeated_message_is_told_apart() -> None:
    now = int(time.time())
    headers = {
        "webhook-id": "trace-1-1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(SECRET, "trace-1-1", now, b"{}"),
    }
    assert check_signature(SECRET, headers, b"{}")
    assert check_signature(
        SECRET, headers | {"webhook-signature": "v1,x " + headers["webhook-signature"]}, b"{}"
    )
    assert not check_signature(SECRET, headers, b"{ }")
    assert not check_signature(SECRET + "!", headers, b"{}")
    assert not check_signature(SECRET, headers | {"webhook-id": "trace-1-2"}, b"{}")
    assert not check_signature(SECRET, headers, b"{}", now=now + TOLERANCE + 1)
    assert not check_signature(SECRET, headers | {"webhook-timestamp": "now"}, b"{}")
    assert not check_signature(SECRET, {}, b"{}")


def test_a_signature_is_that_of_the_published_scheme() -> None:
    """The example of the Standard Webhooks specification."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/hook",
        "ftp://127.0.0.1/x",
        "https://user:password@example.org/",
        "https://",
        "file:///etc/passwd",
        "hook",
    ],
)
def test_only_https_or_this_machine_is_told(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        Webhook(url=url, secret_env=VARIABLE)
