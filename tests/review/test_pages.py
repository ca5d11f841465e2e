import shutil
from pathlib import Path

import pytest
from tests.review.made import ANN, BEN, EVE, EVIL, NAME, House

from trace_retriever.io.files import read_json, write_json
from trace_retriever.registry.types import State

PAGES = [
    "/",
    "/requests/2",
    "/requests/1",
    f"/versions/{NAME}/1.0.0",
    f"/versions/{NAME}/1.1.0",
    f"/versions/{NAME}/1.1.0/samples",
    f"/versions/{NAME}/1.1.0/samples?kind=lost&pair=mojihop_task1",
    "/versions",
    "/versions?state=production",
    "/log",
]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_shows_itself_and_runs_nothing_of_what_it_shows(house: House, path: str) -> None:
    with house.browser(BEN) as browser:
        page = browser.get(path)
    assert page.status_code == 200, page.text
    assert "<script" not in page.text
    assert "<img src=x" not in page.text
    assert "49" not in page.text.partition("{{ 7*7")[0][-1:]  # no template ran in what was shown
    assert "style=" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"


def test_the_request_page_holds_the_evidence(house: House) -> None:
    with house.browser(BEN) as browser:
        page = browser.get(f"/requests/{house.request}").text
    for word in (
        "non-inferiority",
        "Worst regressions",
        "champion 1.0.0",
        "against the champion",
        "every expectation held",
        "trace tokens a query",
        "&lt;script&gt;alert(",
        "Approve",
        house.registry.version(NAME, "1.1.0").digests["data"],
    ):
        assert word in page, word


def test_the_figures_of_the_page_are_those_of_the_verdict(house: House) -> None:
    from trace_retriever.review import views

    desk = house.app.state.desk
    both = views.beside(desk, house.registry.version(NAME, "1.1.0"))
    assert both.own is not None
    report = views.report(both.own, both.other)
    checks = {
        check["scope"]: check for check in both.own.verdict["checks"] if check["name"] == "non-inferiority"
    }
    for row in report.rows:
        assert row.difference == pytest.approx(checks[row.pair]["value"])
        assert (row.low, row.high) == pytest.approx(tuple(checks[row.pair]["interval"]))
        assert row.champion is not None
        assert row.champion.value == pytest.approx(checks[row.pair]["champion"])
    assert report.average is not None
    assert report.average.own.value == pytest.approx(both.own.verdict["headline"]["average"])


def test_regressions_come_worst_first(house: House) -> None:
    from trace_retriever.review import views

    desk = house.app.state.desk
    both = views.beside(desk, house.registry.version(NAME, "1.1.0"))
    assert both.own is not None
    report = views.report(both.own, both.other)
    assert report.lost
    assert report.won
    ranks = [found.rank if found.rank is not None else 1_000_000 for found in report.lost]
    assert ranks == sorted(ranks, reverse=True)
    assert all(found.champion_rank == 1 for found in report.lost)
    assert all(sheet.own.rank != 1 for sheet in report.sheets)


def test_pictures_are_given_to_those_who_logged_in_and_by_their_names_alone(house: House) -> None:
    home = f"/versions/{NAME}/1.1.0/pictures"
    folder = house.package("1.1.0") / "evidence/pictures"
    name = sorted(path.name for path in folder.iterdir())[0]
    with house.browser() as stranger:
        assert stranger.get(f"{home}/{name}").status_code == 401
    with house.browser(BEN) as browser:
        answer = browser.get(f"{home}/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content == (folder / name).read_bytes()
        for other in (
            "..%2f..%2fmanifest.json",
            "%2e%2e/manifest.json",
            "..%5c..%5cmanifest.json",
            "manifest.json",
            "0" * 32 + ".png",
            name + "%00",
            name.replace(".png", ".svg"),
        ):
            assert browser.get(f"{home}/{other}").status_code == 404, other


def test_an_altered_picture_is_not_shown(own_house: House) -> None:
    folder = own_house.package("1.1.0") / "evidence/pictures"
    file = sorted(folder.iterdir())[0]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"x")
    with own_house.browser(BEN) as browser:
        answer = browser.get(f"/versions/{NAME}/1.1.0/pictures/{file.name}")
        assert answer.status_code == 404
        page = browser.get(f"/requests/{own_house.request}")
    assert "the package changed after it was registered" in page.text
    assert 'action="/requests/2/approve"' not in page.text


def test_who_may_not_decide_is_told_why_and_gets_no_form(house: House) -> None:
    for user, words in ((ANN, "the rules do not name you as a reviewer"), (EVE, "do not name you")):
        with house.browser(user) as browser:
            page = browser.get(f"/requests/{house.request}").text
        assert words in page
        assert 'action="/requests/2/approve"' not in page


def test_a_stranger_is_sent_to_the_login_and_back(house: House) -> None:
    with house.browser() as browser:
        answer = browser.get("/versions?state=canary")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/login?to=%2Fversions%3Fstate%3Dcanary"
        page = browser.client.get(answer.headers["location"])
        assert 'value="/versions?state=canary"' in page.text


@pytest.mark.parametrize("path", ["/requests/99", f"/versions/{NAME}/9.9.9", "/nothing", "/requests/0"])
def test_what_is_not_there_is_said_in_words(house: House, path: str) -> None:
    with house.browser(BEN) as browser:
        answer = browser.get(path)
    assert answer.status_code in (404, 422)
    assert "<h1>" in answer.text
    assert EVIL not in answer.text


def test_a_log_that_was_tampered_with_is_shown_as_such(house: House) -> None:
    import sqlite3

    with sqlite3.connect(house.root / "registry.db") as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='trigger'")]
        for name in names:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE trace_log SET actor = 'eve' WHERE seq = 2")
    with house.browser(BEN) as browser:
        page = browser.get("/log").text
    assert "does not verify" in page


def test_a_package_that_lies_elsewhere_says_how_to_decide_on_it(
    house: House, packages: tuple[Path, Path], tmp_path: Path
) -> None:
    registry = house.registry
    package = shutil.copytree(packages[1], tmp_path / "package")
    write_json(package / "manifest.json", read_json(package / "manifest.json") | {"version": "1.2.0"})
    uri = "s3://models/packages/1"
    version = registry.register(package, by=registry.actor(ANN), uri=uri)
    asked = registry.request(version, by=registry.actor(ANN), why="as good")
    with house.browser(BEN) as browser:
        page = browser.get(f"/requests/{asked.id}").text
        assert uri in page
        assert f"trace verify DIR --digest {version.digests['manifest']}" in page
        assert f"--evidence {version.digests['evidence']}" in page
        assert f'action="/requests/{asked.id}/approve"' not in page
    evidence = version.digests["evidence"]
    registry.approve(asked.id, by=registry.actor(BEN), why="fetched and read", evidence=evidence)
    assert registry.version(NAME, "1.2.0").state is State.APPROVED
