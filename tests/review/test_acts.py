import re
from typing import Any

import pytest
from tests.review.made import BEN, CIM, DEA, EVIL, NAME, House, fields

from trace_retriever.registry.types import Act, RequestState, State


def state(house: House) -> RequestState:
    return house.registry.request_of(house.request).state


def test_a_reviewer_approves_on_the_evidence_that_the_page_showed(house: House) -> None:
    with house.browser(BEN) as browser:
        answer = browser.decide(house.request, "approve", f"as good {EVIL}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/requests/{house.request}")
        page = browser.get(f"/requests/{house.request}").text
    assert "approved" in page
    assert "<script" not in page
    [decision] = house.registry.request_of(house.request).decisions
    version = house.registry.version(NAME, "1.1.0")
    assert (decision.by, decision.approve, decision.why) == (BEN, True, f"as good {EVIL}")
    assert decision.evidence == version.digests["evidence"]
    assert version.state is State.APPROVED


def test_a_reviewer_rejects(house: House) -> None:
    with house.browser(BEN) as browser:
        assert browser.decide(house.request, "reject", "too many slips").status_code == 303
    assert state(house) is RequestState.REJECTED


def test_a_request_is_taken_back_and_asked_again(house: House) -> None:
    house.users.add("ann", "another password")
    with house.browser() as browser:
        browser.login("ann", "another password")
        page = browser.get(f"/requests/{house.request}").text
        content = fields(page, f"/requests/{house.request}/withdraw") | {"why": "found a bug"}
        browser.client.post(f"/requests/{house.request}/withdraw", data=content)
        assert state(house) is RequestState.WITHDRAWN
        action = f"/versions/{NAME}/1.1.0/request"
        content = browser.form(f"/versions/{NAME}/1.1.0", action) | {"why": "fixed it elsewhere"}
        assert browser.client.post(action, data=content).status_code == 303
    assert house.registry.version(NAME, "1.1.0").state is State.REQUESTED


def test_a_deployer_brings_it_into_production_and_back(house: House) -> None:
    with house.browser(BEN) as browser:
        browser.decide(house.request, "approve")
    home = f"/versions/{NAME}/1.1.0"
    with house.browser(DEA) as browser:
        for act in (Act.CANARY, Act.PROMOTE, Act.ROLLBACK):
            content = browser.form(home, f"{home}/{act.value}") | {"why": "the rules say so"}
            assert browser.client.post(f"{home}/{act.value}", data=content).status_code == 303
        assert "retired" in browser.get(home).text
    champion = house.registry.champion(NAME)
    assert champion is not None
    assert champion.version == "1.0.0"


def test_rollback_of_what_is_not_in_production_is_refused(house: House) -> None:
    home = f"/versions/{NAME}/1.0.0"
    with house.browser(DEA) as browser:
        content = browser.form(home, f"{home}/rollback") | {"why": "sent to the wrong place"}
        other = f"/versions/{NAME}/1.1.0/rollback"
        assert browser.client.post(other, data=content).status_code == 409


@pytest.mark.parametrize("name", ["evidence/samples.jsonl", "evidence/queries.parquet", "MODEL_CARD.md"])
def test_approving_after_the_package_changed_is_refused_in_words(own_house: House, name: str) -> None:
    with own_house.browser(BEN) as browser:
        content = browser.form(f"/requests/{own_house.request}", f"/requests/{own_house.request}/approve")
        file = own_house.package("1.1.0") / name
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:-1] + b"~")
        answer = browser.client.post(f"/requests/{own_house.request}/approve", data=content | {"why": "fine"})
    assert answer.status_code == 409
    assert "the package changed after it was registered" in answer.text
    assert state(own_house) is RequestState.OPEN


def test_an_approval_of_other_evidence_is_refused(house: House) -> None:
    other = house.registry.version(NAME, "1.0.0").digests["evidence"]
    with house.browser(BEN) as browser:
        answer = browser.decide(house.request, "approve", evidence=other)
    assert answer.status_code == 409
    assert "the evidence that was seen is not that of" in answer.text


def test_an_expired_request_is_not_decided(house: House) -> None:
    house.reopen(session_hours=168, idle_minutes=1440)
    with house.browser(BEN) as browser:
        house.clock.move(hours=71)
        browser.login(BEN)
        content = browser.form(f"/requests/{house.request}", f"/requests/{house.request}/approve")
        house.clock.move(hours=2)
        answer = browser.client.post(f"/requests/{house.request}/approve", data=content | {"why": "fine"})
        assert answer.status_code == 409
        assert "expired" in browser.get(f"/requests/{house.request}").text


def test_of_two_reviewers_who_race_one_decides(house: House) -> None:
    house.users.add(CIM, "a third password")
    with house.browser(BEN) as one, house.browser() as two:
        two.login(CIM, "a third password")
        action = f"/requests/{house.request}"
        first = one.form(action, f"{action}/approve") | {"why": "fine"}
        second = two.form(action, f"{action}/approve") | {"why": "not fine"}
        assert one.client.post(f"{action}/approve", data=first).status_code == 303
        answer = two.client.post(f"{action}/reject", data=second)
    assert answer.status_code == 409
    assert state(house) is RequestState.APPROVED


@pytest.mark.parametrize(
    ("content", "status"),
    [({"why": ""}, 422), ({"why": "   "}, 422), ({"why": "x" * 2001}, 422), ({"why": "a\0b"}, 422)],
)
def test_a_reason_is_required(house: House, content: dict[str, Any], status: int) -> None:
    with house.browser(BEN) as browser:
        answer = browser.decide(house.request, "approve", **content)
    assert answer.status_code == status
    assert state(house) is RequestState.OPEN


def test_the_newest_of_many_open_pages_still_works(house: House) -> None:
    with house.browser(BEN) as browser:
        pages = [browser.get(f"/requests/{house.request}").text for _ in range(40)]
        words = {re.findall(r'name="once" value="([^"]*)"', page)[1] for page in pages}
        assert len(words) == len(pages)
        content = fields(pages[0], f"/requests/{house.request}/approve") | {"why": "fine"}
        answer = browser.client.post(f"/requests/{house.request}/approve", data=content)
        assert answer.status_code == 409  # two forms a page, 64 at most: the first page's are forgotten
        content = fields(pages[-1], f"/requests/{house.request}/approve") | {"why": "fine"}
        answer = browser.client.post(f"/requests/{house.request}/approve", data=content)
        assert answer.status_code == 303
