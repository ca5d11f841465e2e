"""The page in a real browser: by mouse, by keyboard, on a phone, and without JavaScript."""

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect, sync_playwright

from trace_retriever.demo_app.serve import build

Places = tuple[Path, Path, Path]
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists() and "CI" not in os.environ, reason="no chromium on this machine"
    ),
]
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 375, "height": 740}
EDIT = "/?pool=mojiedit_task7"


@pytest.fixture(scope="module")
def base(places: Places) -> Iterator[str]:
    """The address of a running server."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(build(*places), log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, base: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page that may speak to the server only; whatever it complains about fails the test."""
    options: dict[str, Any] = {"viewport": DESKTOP} | getattr(request, "param", {})
    context = browser.new_context(base_url=base, **options)
    complaints: list[str] = []
    made = context.new_page()
    made.set_default_timeout(60_000)
    made.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("request", lambda sent: complaints.append(sent.url) if _foreign(sent.url, base) else None)
    yield made
    context.close()
    assert complaints == []


def _foreign(url: str, base: str) -> bool:
    return not url.startswith((base, "data:", "blob:"))


def picture_file(places: Places) -> Path:
    return min((places[2] / "mbeir_images").rglob("*.jpg"))


def results(page: Page) -> int:
    expect(page.get_by_role("heading", name="What it found")).to_be_visible()
    return page.locator(".results > li").count()


def accessible(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("page", [{}, {"java_script_enabled": False}], indirect=True, ids=["js", "no-js"])
def test_typing_then_a_picture_of_the_results_then_both(page: Page) -> None:
    page.goto(EDIT)
    page.get_by_label("Words").fill("cat top")
    page.get_by_label("Reason first").select_option("always")
    page.get_by_role("button", name="Search").click()
    assert results(page) == 12
    assert "text=cat+top" in page.url
    expect(page.locator(".trace li").first).not_to_be_empty()
    page.get_by_role("link", name="Search with this picture").nth(2).click()
    expect(page.get_by_alt_text("the picture that is searched with")).to_be_visible()
    expect(page.get_by_label("Words")).to_have_value("")
    page.get_by_label("Words").fill("the same without the cat")
    page.get_by_label("Words").press("Enter")
    expect(page.get_by_text("is not among them").or_(page.get_by_text("are not among them"))).to_be_visible()
    expect(page.get_by_alt_text("the picture that is searched with")).to_be_visible()
    page.get_by_role("button", name="remove cat").click()
    expect(page.get_by_label("Words")).to_have_value("remove cat")
    assert results(page) == 12
    page.get_by_role("link", name="Without this picture").click()
    expect(page.get_by_alt_text("the picture that is searched with")).to_have_count(0)
    expect(page.get_by_label("Words")).to_have_value("remove cat")


@pytest.mark.parametrize("page", [{}, {"java_script_enabled": False}], indirect=True, ids=["js", "no-js"])
def test_an_uploaded_picture_stays_while_the_words_change(page: Page, places: Places) -> None:
    page.goto(EDIT)
    page.get_by_label("Picture", exact=True).set_input_files(picture_file(places))
    page.get_by_role("button", name="Search").click()
    assert results(page) == 12
    chosen = page.get_by_alt_text("the picture that is searched with")
    source = chosen.get_attribute("src")
    page.get_by_label("Words").fill("remove cat")
    page.get_by_label("Words").press("Enter")
    expect(page.locator("dd q")).to_have_text(re.compile("Remove cat"))
    assert chosen.get_attribute("src") == source
    assert chosen.evaluate("image => image.complete && image.naturalWidth") > 0


def test_an_example_and_a_picture_to_begin_with_are_one_click_away(page: Page) -> None:
    page.goto("/")
    page.locator(".task .example").first.click()
    results(page)
    assert "example=" in page.url
    page.go_back()
    page.get_by_role("link", name="Other pictures").click()
    assert "page=1" in page.url
    page.locator(".browse a").nth(3).click()
    results(page)
    expect(page.get_by_alt_text("the picture that is searched with")).to_be_visible()


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.goto(EDIT)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the search")).to_be_focused()
    seen = []
    for _ in range(10):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    wanted = ["text", "pool", "upload", "reason", "count", "instruction", "Search"]
    assert [one for one in seen if one in wanted] == wanted
    page.get_by_label("Words").focus()
    page.keyboard.type("snake left")
    page.keyboard.press("Enter")
    assert results(page) == 12


def test_a_chosen_file_is_shown_before_it_is_sent_and_a_large_one_is_not_sent(
    page: Page, places: Places, tmp_path: Path
) -> None:
    page.goto(EDIT)
    page.get_by_label("Picture", exact=True).set_input_files(picture_file(places))
    expect(page.locator("#preview")).to_be_visible()
    large = tmp_path / "large.png"
    large.write_bytes(bytes(8_000_001))
    page.get_by_label("Picture", exact=True).set_input_files(large)
    expect(page.locator("#preview")).to_have_count(0)
    page.get_by_role("button", name="Search").click()
    assert page.get_by_label("Picture", exact=True).evaluate("input => input.validationMessage")
    assert page.url.endswith(EDIT)


def test_a_large_file_is_told_so_without_scripts(browser: Browser, base: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes(bytes(9_000_000))
    context = browser.new_context(base_url=base, java_script_enabled=False)
    page = context.new_page()
    page.goto(EDIT)
    page.get_by_label("Picture", exact=True).set_input_files(large)
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("the limit is 8 MB")
    context.close()


@pytest.mark.parametrize("page", [{}, {"viewport": PHONE}], indirect=True, ids=["desktop", "phone"])
def test_it_is_accessible_and_fits(page: Page) -> None:
    for address in (
        EDIT,
        "/search?text=the+same+without+the+cat&reason=always&picture=example:mojiedit_task7:0",
    ):
        page.goto(address)
        accessible(page)
        width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert width[0] <= width[1]
