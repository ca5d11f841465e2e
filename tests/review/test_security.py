import re
from pathlib import Path

import pytest
from tests.review.made import ANN, BEN, PASSWORD, House

from trace_retriever.errors import ConfigError
from trace_retriever.registry.types import RequestState

APPROVE = "/requests/2/approve"


def approve(house: House, **headers: str) -> int:
    """The status of a right form with other headers."""
    with house.browser(BEN) as browser:
        content = browser.form("/requests/2", APPROVE) | {"why": "fine"}
        return browser.client.post(APPROVE, data=content, headers=headers).status_code


def still_open(house: House) -> bool:
    return house.registry.request_of(2).state is RequestState.OPEN


def test_a_header_that_names_a_user_is_refused_where_no_gateway_is_trusted(house: House) -> None:
    with house.browser() as browser:
        answer = browser.get("/", **{"kubeflow-userid": BEN})
    assert answer.status_code == 403
    assert "does not come from the gateway" in answer.text


def gateway(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_SECRET", "0123456789abcdef")
    house.reopen(
        proxy={"addresses": ["10.1.0.0/16"], "secret_env": "GATE_SECRET", "user_prefix": "accounts:"}
    )


def test_the_gateway_names_the_user(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway(house, monkeypatch)
    named = {"kubeflow-userid": f"accounts:{BEN}", "x-trace-proxy-secret": "0123456789abcdef"}
    with house.browser(address="10.1.2.3") as browser:
        browser.client.headers.update(named)
        assert BEN in browser.get("/").text
        assert browser.decide(2, "approve").status_code == 303
        assert browser.get("/login").status_code == 404
    assert house.registry.request_of(2).decisions[0].by == BEN


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("10.2.0.1", {"kubeflow-userid": BEN, "x-trace-proxy-secret": "0123456789abcdef"}),
        ("10.1.2.3", {"kubeflow-userid": BEN, "x-trace-proxy-secret": "0123456789abcdeX"}),
        ("10.1.2.3", {"kubeflow-userid": BEN}),
        ("10.1.2.3", {"kubeflow-userid": "", "x-trace-proxy-secret": "0123456789abcdef"}),
        ("10.1.2.3", {"kubeflow-userid": "../x", "x-trace-proxy-secret": "0123456789abcdef"}),
        ("10.2.0.1", {"kubeflow-userid": BEN, "x-forwarded-for": "10.1.2.3"}),
    ],
)
def test_a_forged_header_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch, address: str, headers: dict[str, str]
) -> None:
    gateway(house, monkeypatch)
    with house.browser(address=address) as browser:
        assert browser.get("/", **headers).status_code == 403


def test_two_names_in_the_header_are_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway(house, monkeypatch)
    secret = ("x-trace-proxy-secret", "0123456789abcdef")
    with house.browser(address="10.1.2.3") as browser:
        twice = [("kubeflow-userid", BEN), ("kubeflow-userid", ANN), secret]
        assert browser.client.get("/", headers=twice).status_code == 403


def test_a_gateways_session_is_worth_nothing_without_the_gateway_or_for_another_user(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway(house, monkeypatch)
    named = {"kubeflow-userid": BEN, "x-trace-proxy-secret": "0123456789abcdef"}
    with house.browser(address="10.1.2.3") as browser:
        content = {}
        browser.client.headers.update(named)
        content = browser.form("/requests/2", APPROVE) | {"why": "fine"}
        browser.client.headers.update({"kubeflow-userid": "sys"})
        assert browser.client.post(APPROVE, data=content).status_code == 403
        del browser.client.headers["kubeflow-userid"]
        assert browser.get("/").status_code == 401
    assert still_open(house)


def test_a_proxys_secret_must_be_there_and_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATE_SECRET", "short")
    with pytest.raises(ConfigError, match="16 characters"):
        house.reopen(proxy={"addresses": ["10.1.0.0/16"], "secret_env": "GATE_SECRET"})


@pytest.mark.parametrize(
    ("changed", "status"),
    [({"csrf": "x"}, 403), ({"csrf": ""}, 422), ({"once": "x"}, 409), ({"once": ""}, 422)],
)
def test_a_form_without_its_words_is_refused(house: House, changed: dict[str, str], status: int) -> None:
    with house.browser(BEN) as browser:
        assert browser.decide(2, "approve", **changed).status_code == status
    assert still_open(house)


@pytest.mark.parametrize("missing", ["csrf", "once", "evidence", "why"])
def test_a_form_that_lacks_a_field_is_refused(house: House, missing: str) -> None:
    with house.browser(BEN) as browser:
        content = browser.form("/requests/2", APPROVE) | {"why": "fine"}
        del content[missing]
        assert browser.client.post(APPROVE, data=content).status_code == 422
    assert still_open(house)


def test_a_replayed_form_is_refused_in_words(house: House) -> None:
    with house.browser(BEN) as browser:
        content = browser.form("/requests/2", APPROVE) | {"why": " "}
        assert browser.client.post(APPROVE, data=content).status_code == 422  # used up all the same
        answer = browser.client.post(APPROVE, data=content | {"why": "fine"})
    assert answer.status_code == 409
    assert "this form was sent before" in answer.text
    assert still_open(house)


def test_a_word_of_one_form_does_not_open_another(house: House) -> None:
    with house.browser(BEN) as browser:
        page = browser.get("/requests/2").text
        content = browser.form("/requests/2", APPROVE) | {"why": "fine"}
        logout = re.findall(r'name="once" value="([^"]*)"', page)[0]
        assert browser.client.post(APPROVE, data=content | {"once": logout}).status_code == 409
    assert still_open(house)


def test_anothers_form_is_refused(house: House) -> None:
    with house.browser(BEN) as one, house.browser("dea") as two:
        content = one.form("/requests/2", APPROVE) | {"why": "fine"}
        assert two.client.post(APPROVE, data=content).status_code == 403
    assert still_open(house)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example:80"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_from_another_site_is_refused(house: House, headers: dict[str, str]) -> None:
    assert approve(house, **headers) == 403
    assert still_open(house)


def test_a_form_from_this_site_is_taken(house: House) -> None:
    assert approve(house, origin="http://localhost:8080", **{"sec-fetch-site": "same-origin"}) == 303


def test_a_stranger_cannot_act(house: House) -> None:
    with house.browser() as browser:
        content = browser.form("/login", "/login") | {"why": "fine", "evidence": "x"}
        assert browser.client.post(APPROVE, data=content).status_code == 401


def test_a_link_from_another_site_replaces_no_session(house: House) -> None:
    with house.browser() as browser:
        for path in ("/requests/2", "/login"):
            answer = browser.get(path, **{"sec-fetch-site": "cross-site"})
            assert answer.status_code == 200
            assert 'http-equiv="refresh"' in answer.text
            assert "set-cookie" not in answer.headers


def test_a_session_is_new_after_login_and_its_cookie_is_guarded(house: House) -> None:
    with house.browser() as browser:
        browser.get("/login")
        before = browser.client.cookies["trace-review"]
        answer = browser.login(BEN)
        cookie = answer.headers["set-cookie"]
        assert browser.client.cookies["trace-review"] != before
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        browser.client.cookies.clear()
        answer = browser.get("/", cookie=f"trace-review={before}")
        assert answer.status_code == 303  # the old one is nobody's


def test_with_https_the_cookie_is_for_https_and_this_host_alone(house: House) -> None:
    house.reopen(https=True)
    with house.browser() as browser:
        answer = browser.get("/login")
    assert answer.headers["set-cookie"].startswith("__Host-trace-review=")
    assert "; Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


@pytest.mark.parametrize("change", [lambda word: word[:-1], lambda word: "x" + word, lambda _: "a.b"])
def test_an_altered_cookie_is_nobodys(house: House, change: "object") -> None:
    with house.browser(BEN) as browser:
        word = browser.client.cookies["trace-review"]
        browser.client.cookies.clear()
        answer = browser.client.get("/", headers={"cookie": f"trace-review={change(word)}"})  # type: ignore[operator]
    assert answer.status_code == 303


@pytest.mark.parametrize(("step", "steps"), [(31, 1), (29, 21)])
def test_a_session_ends_when_idle_and_after_its_time(house: House, step: float, steps: int) -> None:
    with house.browser(BEN) as browser:
        for _ in range(steps):
            house.clock.move(minutes=step)
            answer = browser.get("/")
        assert answer.status_code == 303


def test_a_session_ends_with_the_password_and_with_the_user(house: House) -> None:
    with house.browser(BEN) as browser:
        assert browser.get("/").status_code == 200
        house.users.add(BEN, PASSWORD + "!")
        assert browser.get("/").status_code == 303
        browser.login(BEN, PASSWORD + "!")
        assert browser.get("/").status_code == 200
        house.users.remove(BEN)
        assert browser.get("/").status_code == 303


def test_a_logout_ends_the_session_for_good(house: House) -> None:
    with house.browser(BEN) as browser:
        word = browser.client.cookies["trace-review"]
        content = browser.form("/", "/logout")
        assert browser.client.post("/logout", data=content).status_code == 303
        assert browser.client.get("/", headers={"cookie": f"trace-review={word}"}).status_code == 303


def test_sessions_are_bounded_and_strangers_make_room_first(house: House) -> None:
    house.reopen(max_sessions=3)
    with house.browser(BEN) as browser:
        for _ in range(5):
            with house.browser() as stranger:
                stranger.get("/login")
        assert browser.get("/").status_code == 200


def test_wrong_passwords_are_limited_and_name_no_user(house: House) -> None:
    with house.browser() as browser:
        known = browser.login(BEN, "wrong password").text
        assert (
            browser.login("nobody", "wrong password").text.count("is wrong") == known.count("is wrong") == 1
        )
        statuses = [browser.login(BEN, "wrong password").status_code for _ in range(5)]
        assert statuses == [403, 403, 403, 403, 429]
        answer = browser.login(BEN)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
    with house.browser(address="127.0.0.9") as elsewhere:
        assert elsewhere.login(BEN).status_code == 303


def test_acts_are_limited(house: House) -> None:
    house.reopen(act_limit="2/minute")
    with house.browser(BEN) as browser:
        assert [browser.decide(2, "approve", " ").status_code for _ in range(3)] == [422, 422, 429]


def test_requests_are_limited(house: House) -> None:
    house.reopen(read_limit="3/minute")
    with house.browser() as browser:
        assert [browser.get("/login").status_code for _ in range(4)] == [200, 200, 200, 429]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "localhost@evil.example"])
def test_a_foreign_host_is_not_served(house: House, host: str) -> None:
    with house.browser() as browser:
        assert browser.get("/login", host=host).status_code == 400


def test_a_body_is_bounded_whether_or_not_it_says_its_length(house: House) -> None:
    with house.browser(BEN) as browser:
        content = browser.form("/requests/2", APPROVE)
        assert browser.client.post(APPROVE, data=content | {"why": "x" * 70_000}).status_code == 413
        parts = (b"x" * 10_000 for _ in range(10))
        assert browser.client.post(APPROVE, content=parts).status_code == 413
        assert browser.client.post(APPROVE, headers={"content-length": "9" * 30}).status_code in (400, 413)


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nb: c"]
)
def test_a_login_leads_nowhere_else(house: House, to: str) -> None:
    with house.browser() as browser:
        assert browser.login(BEN, to=to).headers["location"] == "/"


def test_every_answer_has_its_headers(house: House) -> None:
    with house.browser() as browser:
        for path in ("/login", "/nothing", "/api/v1/me", "/static/review.css", "/healthz"):
            headers = browser.get(path).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert headers["referrer-policy"] == "same-origin", path


def test_secrets_are_in_no_log(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway(house, monkeypatch)
    caplog.set_level("DEBUG")
    with house.browser(address="10.2.2.2") as browser:
        browser.get("/", **{"kubeflow-userid": BEN, "x-trace-proxy-secret": "0123456789abcdef"})
    assert "refused a header" in caplog.text
    assert "0123456789abcdef" not in caplog.text
    assert Path(house.settings["users"]).read_text().count(PASSWORD) == 0
