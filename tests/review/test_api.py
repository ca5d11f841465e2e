from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from tests.review.made import ANN, BEN, DEA, EVE, NAME, House

from trace_retriever.registry.types import RequestState


def headers(house: House, user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {house.users.add_token(user, 1, house.clock())}"}


def test_the_same_acts_by_rest(house: House) -> None:
    with house.browser() as browser:
        call = browser.client
        reviewer, deployer = headers(house, BEN), headers(house, DEA)
        assert call.get("/api/v1/me", headers=reviewer).json()["roles"] == ["requester", "reviewer"]
        [asked] = call.get("/api/v1/requests?state=open", headers=reviewer).json()
        shown = call.get(f"/api/v1/versions/{NAME}/1.1.0/evidence", headers=reviewer).json()
        assert shown["champion"] == "1.0.0"
        assert shown["lost"] > 0
        assert shown["pairs"][0]["pair"] == "average"
        decision = {"why": "as good", "evidence": shown["digest"]}
        answer = call.post(f"/api/v1/requests/{asked['id']}/approve", json=decision, headers=reviewer)
        assert answer.json()["state"] == "approved"
        for act, state in (("canary", "canary"), ("promote", "production"), ("rollback", "retired")):
            answer = call.post(
                f"/api/v1/versions/{NAME}/1.1.0/{act}", json={"why": "the rules say so"}, headers=deployer
            )
            assert answer.json()["state"] == state
        assert call.get(f"/api/v1/models/{NAME}", headers=reviewer).json()["champion"]["version"] == "1.0.0"
        log = call.get("/api/v1/log", headers=reviewer).json()
        assert [entry["act"] for entry in log[-3:]] == ["canary", "promote", "rollback"]
        verified = call.get("/api/v1/log/verification", headers=reviewer).json()
        assert (verified["verified"], verified["entries"]) == (True, len(log))
        assert verified["head"] == log[-1]["hash"]


def test_a_request_by_rest_is_taken_back_and_made_again(house: House) -> None:
    with house.browser() as browser:
        who = headers(house, ANN)
        answer = browser.client.post("/api/v1/requests/2/withdraw", json={"why": "a bug"}, headers=who)
        assert answer.json()["state"] == "withdrawn"
        answer = browser.client.post(
            f"/api/v1/versions/{NAME}/1.1.0/requests", json={"why": "fixed"}, headers=who
        )
        assert (answer.status_code, answer.json()["id"]) == (201, 3)


@pytest.mark.parametrize(
    ("user", "status", "words"),
    [(ANN, 403, "may not"), (EVE, 403, "may not"), (None, 401, "a valid token is needed")],
)
def test_a_refusal_is_a_problem_in_words(house: House, user: str | None, status: int, words: str) -> None:
    body = {"why": "fine", "evidence": house.registry.version(NAME, "1.1.0").digests["evidence"]}
    with house.browser() as browser:
        sent = headers(house, user) if user else {}
        answer = browser.client.post("/api/v1/requests/2/approve", json=body, headers=sent)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["status"] == status
    assert house.registry.request_of(2).state is RequestState.OPEN


def test_neither_cookie_nor_gateway_counts_here(house: House) -> None:
    with house.browser(BEN) as browser:
        assert browser.get("/").status_code == 200
        assert browser.get("/api/v1/me").status_code == 401
        assert browser.get("/api/v1/me", **{"kubeflow-userid": BEN}).status_code == 401


def test_other_evidence_is_a_conflict(house: House) -> None:
    body = {"why": "fine", "evidence": "sha256:" + "0" * 64}
    with house.browser() as browser:
        answer = browser.client.post("/api/v1/requests/2/approve", json=body, headers=headers(house, BEN))
    assert answer.status_code == 409


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_schemathesis_finds_nothing(house: House, mode: GenerationMode) -> None:
    """Six examples of each operation, right and wrong ones, held against the OpenAPI document."""
    house.reopen(read_limit="100000/minute", act_limit="100000/minute")
    # A reason of blanks or control characters is refused with 422, which the document cannot say.
    accepted = {"positive_data_acceptance": {"expected-statuses": ["2xx", "403", "404", "409", "422"]}}
    token = house.users.add_token(BEN, 1, house.clock())
    config = SchemathesisConfig.from_dict(
        {"checks": accepted, "auth": {"openapi": {"HTTPBearer": {"bearer": token}}}}
    )
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json", house.app, config=config, headers={"host": "localhost"}
    )
    seen: set[int] = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found

        @given(case=found.ok().as_strategy(generation_mode=mode))
        @settings(
            max_examples=6,
            database=None,
            derandomize=True,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            seen.add(case.call_and_validate(headers={"host": "localhost"}).status_code)

        check()
    assert seen & {200, 201} if mode is GenerationMode.POSITIVE else seen & {404, 422}
