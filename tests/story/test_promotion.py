"""A trained version's way into production and out again: gate, request, review, canary, rollback, log."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
import yaml
from playwright.sync_api import Browser, Page, sync_playwright
from tests.registry.made import ROLES, Clock, rules
from tests.review.made import ANN, BEN, DEA, NAME, PASSWORD, House
from tests.rollout.conftest import QUICK
from tests.story.toy import Story

from trace_retriever.cli import main
from trace_retriever.config.rollout import RolloutRules
from trace_retriever.io.files import read_json
from trace_retriever.registry import chain, schema
from trace_retriever.registry.errors import NotAllowed, RegistryError
from trace_retriever.registry.migrations.guards import GUARDS
from trace_retriever.registry.registry import open_registry
from trace_retriever.registry.types import Act, Request, RequestState, State
from trace_retriever.review.users import Users
from trace_retriever.rollout.command import MODEL, serve_command
from trace_retriever.rollout.errors import RolledBack
from trace_retriever.rollout.local import Local, deploy_local
from trace_retriever.rollout.processes import Serving, free_port
from trace_retriever.rollout.references import Reference

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="no chromium on this machine"
    ),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
FIRST, WORSE, BETTER = "0.1.0", "0.2.0", "0.3.0"
# Real servers on a busy machine: how fast they are is another test's.
RULES: RolloutRules = QUICK.model_copy(update={"max_latency_ratio": 100.0, "ready_seconds": 300.0})


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for one decision: as long as it is there, this thread has a running event loop."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """An empty registry, and people."""
    root, clock = tmp_path_factory.mktemp("promotion"), Clock()
    clock.now = datetime.now(UTC)
    registry = open_registry(f"sqlite:///{root}/registry.db", rules(), clock, store=root / "store")
    users = Users(root / "users.json")
    for name in (ANN, BEN):
        users.add(name, PASSWORD)
    yield House(root, registry, clock, {"users": str(root / "users.json")}, 0)
    registry.close()


@contextmanager
def reviewing(house: House) -> Iterator[str]:
    """The review page on a port of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = house.reopen(read_limit="100000/minute")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", proxy_headers=False, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def log_in(page: Page, address: str, request: int, user: str) -> None:
    page.set_default_timeout(60_000)
    page.goto(f"{address}/requests/{request}")
    page.fill("#name", user)
    page.fill("#password", PASSWORD)
    page.click("button.go")
    page.wait_for_url(f"{address}/requests/{request}")


def approve_in_browser(house: House, request: int) -> None:
    """The requester finds no way to approve; a reviewer reads, says why, and approves."""
    with reviewing(house) as address, browsing() as browser:
        context = browser.new_context()
        page = context.new_page()
        log_in(page, address, request, ANN)
        assert page.locator("#why").count() == 0
        context.close()
        context = browser.new_context()
        page = context.new_page()
        log_in(page, address, request, BEN)
        assert page.get_by_role("heading", name="Gate").is_visible()
        page.fill("#why", "better on hops at the same cost")
        page.locator("#why").press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#decide .state.approved")
        context.close()


def ask_for(house: House, package: Path, index: Path) -> Request:
    """ann registers a trained version and asks for it."""
    by = house.registry.actor(ANN)
    version = house.registry.register(package, by=by, index=index)
    return house.registry.request(version, by=by, why="it passed the gate")


def roll_out(
    house: House,
    version: str,
    *options: str,
    smoke: bool = True,
    on_promoted: Callable[[str], None] | None = None,
) -> None:
    """`trace deploy local`: real servers behind a split; `options` go to the version's own server."""
    registry = house.registry

    def command(found: Any, port: int) -> Sequence[str]:
        return serve_command(found, port, options if found.version == version else ())

    how = Local(logs=house.root / "logs", traffic=20.0, smoke=smoke, command=command, on_promoted=on_promoted)
    found = registry.version(NAME, version)
    deploy_local(registry, found, by=registry.actor(DEA), rules=RULES, how=how, say=print)


def asked_three(address: str) -> dict[str, Any]:
    """What a client gets that asks for the three nearest candidates."""
    body = Reference("goose").body() | {"parameters": {"k": 3}}
    answer = httpx.post(f"{address}/v2/models/{MODEL}/infer", json=body, timeout=60.0)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    outputs = {output["name"]: output["data"] for output in found["outputs"]}
    return {"version": found["model_version"], "ids": outputs["ids"]}


def in_production(house: House) -> str | None:
    champion = house.registry.champion(NAME)
    return None if champion is None else champion.version


def test_from_training_to_production_and_back(house: House, story: Story) -> None:
    registry, index, answers = house.registry, story.out("embed"), list[dict[str, Any]]()

    def note(address: str) -> None:
        answers.append(asked_three(address))

    # Trained and gated; who asks may not decide, and what nobody approved is not rolled out.
    assert read_json(story.out("gate") / "verdict.json")["passed"] is True
    asked = ask_for(house, story.out("register"), index)
    evidence = registry.version(NAME, FIRST).digests["evidence"]
    with pytest.raises(NotAllowed):
        registry.approve(asked.id, by=registry.actor(ANN), why="I like it", evidence=evidence)
    with pytest.raises(RegistryError):
        registry.start_canary(NAME, FIRST, by=registry.actor(DEA), why="in a hurry")
    assert registry.request_of(asked.id).state is RequestState.OPEN

    # A reviewer approves in the browser; the first version of all has nothing to be compared with.
    approve_in_browser(house, asked.id)
    roll_out(house, FIRST, on_promoted=note)
    assert in_production(house) == FIRST

    # The next is gated against it and approved; in traffic its deadline turns out to be nonsense.
    champion = house.package(FIRST)
    asked = ask_for(house, story.candidate(WORSE, champion), index)
    approve_in_browser(house, asked.id)
    with pytest.raises(RolledBack, match="errors"):
        roll_out(house, WORSE, "--set", "deadline_ms=1", smoke=False)
    assert in_production(house) == FIRST
    assert registry.version(NAME, WORSE).state is State.RETIRED

    # The one after has a request of its own; what was approved before covers nothing.
    asked = ask_for(house, story.candidate(BETTER, champion), index)
    with pytest.raises(RegistryError):
        registry.approve(asked.id, by=registry.actor(BEN), why="as the last one", evidence=evidence)
    approve_in_browser(house, asked.id)
    roll_out(house, BETTER, on_promoted=note)
    assert in_production(house) == BETTER
    assert registry.version(NAME, FIRST).state is State.RETIRED

    # One command brings the champion back, and it serves as it did.
    roles = {who: [role.value for role in given] for who, given in ROLES.items()}
    people = house.root / "promotion.yaml"
    people.write_text(yaml.safe_dump({"registry": {"roles": roles}}))
    where = ["--url", f"sqlite:///{house.root}/registry.db", "--rules", str(people)]
    main(["registry", "rollback", NAME, "--why", "customers complain", "--as", DEA, *where])
    assert in_production(house) == FIRST
    assert registry.version(NAME, BETTER).state is State.RETIRED
    with serving(house, FIRST) as address:
        note(address)
    assert [answer["version"] for answer in answers] == [FIRST, BETTER, FIRST]
    assert answers[0] == answers[2]
    acts = [entry.act for entry in registry.log()]
    assert acts[-1] is Act.ROLLBACK
    assert acts.count(Act.ABORT) == 1
    assert registry.verify_log() == len(acts)


@contextmanager
def serving(house: House, version: str) -> Iterator[str]:
    """A version alone."""
    port = free_port()
    command = serve_command(house.registry.version(NAME, version), port)
    server = Serving(version, command, port, house.root / "logs/alone.log")
    try:
        server.wait_ready(300.0)
        yield server.address
    finally:
        server.stop()


def test_a_log_that_somebody_rewrote_does_not_verify(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{house.root}/registry.db"
    main(["registry", "verify", "--url", url])
    assert capsys.readouterr().out
    engine = schema.connect(url)
    with engine.begin() as connection:
        seq = next(entry["seq"] for entry in chain.raw_entries(connection) if entry["act"] == "approve")
        for guard in GUARDS:
            connection.exec_driver_sql(f"DROP TRIGGER {guard.name}")
        connection.exec_driver_sql(f"UPDATE trace_log SET actor = 'ann' WHERE seq = {seq}")
    engine.dispose()
    with pytest.raises(SystemExit) as tampered:
        main(["registry", "verify", "--url", url])
    assert tampered.value.code != 0
    assert f"entry {seq}" in capsys.readouterr().err
