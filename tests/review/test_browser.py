"""A reviewer in a real browser: by keyboard, on a phone, without scripts; and axe over every page."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.review.made import BEN, DEA, NAME, PASSWORD, House

from trace_retriever.registry.types import RequestState

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="no chromium on this machine"
    ),
]
PHONE, DESK = {"width": 375, "height": 800}, {"width": 1280, "height": 900}
PAGES = (
    "/",
    "/requests/2",
    f"/versions/{NAME}/1.0.0",
    f"/versions/{NAME}/1.1.0/samples?kind=lost",
    "/versions",
    "/log",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def address(house: House) -> Iterator[str]:
    """The app on a real port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        house.reopen(read_limit="100000/minute")
        server = uvicorn.Server(
            uvicorn.Config(house.app, log_level="warning", proxy_headers=False, lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def log_in(page: Any, address: str, to: str = "/", user: str = BEN) -> None:
    page.goto(f"{address}{to}")
    page.fill("#name", user)
    page.fill("#password", PASSWORD)
    page.click("button.go")
    page.wait_for_url(f"{address}{to}")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_reviewer_logs_in_reads_and_approves_by_keyboard_alone(
    chromium: Any, address: str, house: House, scripts: bool
) -> None:
    context = chromium.new_context(viewport=DESK, java_script_enabled=scripts)
    page = context.new_page()
    page.goto(f"{address}/requests/2")
    if scripts:
        tab_to(page, "#name")
    else:  # what has the focus cannot be asked for; the label's field can
        page.focus("#name")
    page.keyboard.type(BEN)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/requests/2")
    assert page.locator("h2").all_inner_texts() == [
        "Gate", "Recall per pair", "Routes and cost", "Training", "Worst regressions",
        "Validation of the data", "Lineage", "History", "Decide",
    ]  # fmt: skip
    if scripts:
        tab_to(page, "#why")
    else:
        page.focus("#why")
    page.keyboard.type("as good on all pairs, better on hops")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#decide .state.approved")
    assert house.registry.request_of(2).state is RequestState.APPROVED
    assert house.registry.request_of(2).decisions[0].why == "as good on all pairs, better on hops"
    context.close()


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_every_page_fits_and_axe_finds_nothing(chromium: Any, address: str, size: dict[str, int]) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    context = chromium.new_context(viewport=size, bypass_csp=True)  # axe is a script
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
    page.goto(f"{address}/login")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    log_in(page, address)
    for path in PAGES:
        page.goto(f"{address}{path}")
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size["width"], f"{path} is {width} wide"
        assert page.locator("img").evaluate_all(
            "all => all.filter(one => one.loading !== 'lazy' && !one.naturalWidth).length"
        ) == 0  # fmt: skip
        found = Axe().run(page)
        assert found.violations_count == 0, f"{path}: {found.generate_report()}"
    assert faults == []
    context.close()


def test_a_link_from_another_site_finds_the_session_again(chromium: Any, address: str) -> None:
    context = chromium.new_context(viewport=DESK)
    page = context.new_page()
    log_in(page, address)
    page.goto(f"data:text/html,<a href='{address}/requests/2'>look at this</a>")
    page.click("a")
    page.wait_for_selector("#decide")
    page.goto(f"{address}/")
    assert page.url == f"{address}/"
    context.close()


def test_the_policy_blocks_nothing_that_the_pages_use(chromium: Any, address: str) -> None:
    """Without the bypass: styles and pictures load, and the console says nothing of blocked parts."""
    context = chromium.new_context(viewport=DESK)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    log_in(page, address, "/requests/2", user=DEA)
    assert page.evaluate("getComputedStyle(document.querySelector('.tiles')).display") == "grid"
    pictures = page.locator("img.picture")
    pictures.first.scroll_into_view_if_needed()
    for _ in range(100):  # asked for from here: a page that waits by itself would need `eval`
        if page.evaluate("document.querySelector('img.picture').naturalWidth"):
            break
        page.wait_for_timeout(100)
    assert page.evaluate("document.querySelector('img.picture').naturalWidth") > 0
    assert said == []
    context.close()
