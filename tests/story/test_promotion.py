"""A version's way into production and out of it again: gate, request, review, canary, rollback, log."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright
from tests.review.made import (
    ANN,
    BEN,
    CANDIDATE,
    CHAMPION,
    DEA,
    NAME,
    PASSWORD,
    House,
    make_package,
    open_house,
)
from tests.rollout.conftest import QUICK, Stands

from trace_retriever.cli import main
from trace_retriever.config.rollout import RolloutRules
from trace_retriever.registry import chain, schema
from trace_retriever.registry.errors import NotAllowed, RegistryError
from trace_retriever.registry.migrations.guards import GUARDS
from trace_retriever.registry.types import Act, RequestState, State
from trace_retriever.rollout.errors import RolledBack
from trace_retriever.rollout.local import Local, deploy_local
from trace_retriever.rollout.references import Reference

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
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
WORSE, BETTER = "1.1.0", "1.2.0"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """1.0.0 in production, and ann's request for 1.1.0, which was gated against it."""
    root = tmp_path_factory.mktemp("promotion")
    champion = make_package(root / "1.0.0", "1.0.0", CHAMPION, 0, None)
    worse = make_package(root / WORSE, WORSE, CANDIDATE, 9, champion)
    found = open_house(root, (champion, worse))
    yield found
    found.registry.close()


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


def approve_in_browser(browser: Browser, house: House, request: int) -> None:
    """The requester finds no way to approve; a reviewer reads, says why, and approves."""
    with reviewing(house) as address:
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


def roll_out(house: House, version: str, stands: Stands, rules: RolloutRules = QUICK) -> list[str]:
    said: list[str] = []
    registry = house.registry
    how = Local(
        logs=house.root / "logs",
        traffic=150.0,
        smoke=False,
        command=stands.command,
        queries=[Reference("four")],
    )
    found = registry.version(NAME, version)
    deploy_local(registry, found, by=registry.actor(DEA), rules=rules, how=how, say=said.append)
    return said


def in_production(house: House) -> str | None:
    champion = house.registry.champion(NAME)
    return None if champion is None else champion.version


def test_from_a_request_to_production_and_back(browser: Browser, house: House) -> None:
    registry = house.registry
    stands = Stands()

    # Who asks may not decide, and what nobody approved is not rolled out.
    evidence = registry.version(NAME, WORSE).digests["evidence"]
    with pytest.raises(NotAllowed):
        registry.approve(house.request, by=registry.actor(ANN), why="I like it", evidence=evidence)
    with pytest.raises(RegistryError):
        registry.start_canary(NAME, WORSE, by=registry.actor(DEA), why="in a hurry")
    assert registry.request_of(house.request).state is RequestState.OPEN

    # A reviewer approves in the browser; the canary's metrics are bad, and the champion stays.
    approve_in_browser(browser, house, house.request)
    assert registry.request_of(house.request).state is RequestState.APPROVED
    stands.faults[WORSE] = ["--errors", "0.7"]
    with pytest.raises(RolledBack, match="errors"):
        roll_out(house, WORSE, stands)
    assert in_production(house) == "1.0.0"
    assert registry.version(NAME, WORSE).state is State.RETIRED

    # The next one is better, and its own request is decided on; what was approved before covers nothing.
    package = make_package(house.root / BETTER, BETTER, CANDIDATE, 5, house.package("1.0.0"))
    better = registry.register(package, by=registry.actor(ANN))
    asked = registry.request(better, by=registry.actor(ANN), why="the errors of 1.1.0 are gone")
    with pytest.raises(RegistryError):
        registry.approve(asked.id, by=registry.actor(BEN), why="as the last one", evidence=evidence)
    approve_in_browser(browser, house, asked.id)
    roll_out(house, BETTER, stands)
    assert in_production(house) == BETTER
    assert registry.version(NAME, "1.0.0").state is State.RETIRED

    # One command brings the champion back.
    registry.rollback(NAME, by=registry.actor(DEA), why="customers complain")
    assert in_production(house) == "1.0.0"
    assert registry.version(NAME, BETTER).state is State.RETIRED
    acts = [entry.act for entry in registry.log()]
    assert acts[-1] is Act.ROLLBACK
    assert acts.count(Act.ABORT) == 1
    assert registry.verify_log() == len(acts)


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
