"""The forms that act: login and logout, decisions on a request, and what moves a version."""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from trace_retriever.registry.types import Act, Actor, Version
from trace_retriever.review import render
from trace_retriever.review.desk import Desk, Visitor, address_of, check_form
from trace_retriever.review.dossier import EvidenceChanged
from trace_retriever.review.pages import Browser, Id, Name, Number, from_elsewhere, home_of
from trace_retriever.review.problems import Problem
from trace_retriever.review.users import MAX_PASSWORD

router = APIRouter(include_in_schema=False)
Word = Annotated[str, Form(max_length=128)]
Why = Annotated[str, Form(max_length=2000)]
LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x1f]{0,500}")


@router.get("/login")
def login_page(
    request: Request, browser: Browser, to: Annotated[str, Query(max_length=600)] = "/"
) -> Response:
    """The form to log in with a password."""
    _need_login(browser)
    if from_elsewhere(request, browser):
        return render.arrived()
    return render.page(browser, "login.html.j2", to=_local(to), wrong=False, name="")


@router.post("/login")
def login(
    request: Request,
    browser: Browser,
    csrf: Word,
    once: Word,
    name: Annotated[str, Form(max_length=128)],
    password: Annotated[str, Form(max_length=MAX_PASSWORD)],
    to: Annotated[str, Form(max_length=600)] = "/",
) -> Response:
    """Log in: the old session ends, another begins, so that nobody can have planted it."""
    _need_login(browser)
    desk = browser.desk
    check_form(request, browser, "login", csrf, once)
    desk.throttle.login(name, address_of(request))
    if not desk.users.check(name, password):
        return render.page(browser, "login.html.j2", status=403, to=_local(to), wrong=True, name=name)
    desk.throttle.logged_in(name, address_of(request))
    desk.sessions.end(browser.session)
    session = desk.sessions.start(name, desk.users.credential(name))
    return render.redirect(Visitor(desk, session, True, None), _local(to))


@router.post("/logout")
def logout(request: Request, browser: Browser, csrf: Word, once: Word) -> Response:
    """End the session."""
    check_form(request, browser, "logout", csrf, once)
    browser.desk.sessions.end(browser.session)
    answer = render.redirect(browser, "/login" if browser.desk.settings.password_login else "/")
    answer.delete_cookie(
        browser.desk.cookie,
        path=browser.desk.settings.prefix or "/",
        secure=browser.desk.settings.https,
        httponly=True,
        samesite="strict",
    )
    return answer


def _need_login(browser: Visitor) -> None:
    if not browser.desk.settings.password_login:
        raise Problem(404, "people are named by the gateway here; there is no login")


def _local(path: str) -> str:
    """A path of this site to go on to; anything else becomes the queue."""
    return path if LOCAL.fullmatch(path) else "/"


@router.post("/requests/{number}/withdraw")
def withdraw(request: Request, browser: Browser, number: Id, csrf: Word, once: Word, why: Why) -> Response:
    """Take an open request back."""
    actor = _acting(request, browser, f"withdraw:{number}", csrf, once)
    browser.desk.registry.withdraw(number, by=actor, why=why)
    return render.redirect(browser, f"/requests/{number}")


@router.post("/requests/{number}/{decision}")
def decide(
    request: Request,
    browser: Browser,
    number: Id,
    decision: Literal["approve", "reject"],
    csrf: Word,
    once: Word,
    why: Why,
    evidence: Word,
) -> Response:
    """Approve or reject, on the evidence that the page showed."""
    actor = _acting(request, browser, f"decide:{number}", csrf, once)
    decide_on(browser.desk, actor, number, approve=decision == "approve", why=why, evidence=evidence)
    return render.redirect(browser, f"/requests/{number}")


@router.post("/versions/{name}/{number}/{act}")
def move(
    request: Request,
    browser: Browser,
    name: Name,
    number: Number,
    act: Literal["request", "canary", "promote", "abort", "rollback"],
    csrf: Word,
    once: Word,
    why: Why,
) -> Response:
    """Ask for promotion, or move a version through its rollout."""
    actor = _acting(request, browser, f"{act}:{name}:{number}", csrf, once)
    version = browser.desk.registry.version(name, number)
    move_version(browser.desk, actor, version, Act(act), why)
    return render.redirect(browser, home_of(version))


def _acting(request: Request, browser: Visitor, form: str, csrf: str, once: str) -> Actor:
    actor = browser.known
    browser.desk.throttle.act(actor.name)
    check_form(request, browser, form, csrf, once)
    return actor


def decide_on(desk: Desk, actor: Actor, number: int, *, approve: bool, why: str, evidence: str) -> None:
    """Decide on a request, after every file that was shown was hashed again.

    Raises:
        Problem: 409 where the package is not what was registered.
        RegistryError: the registry refuses.
    """
    asked = desk.registry.request_of(number)
    version = desk.registry.version(asked.name, asked.version)
    try:
        desk.dossiers.of(version, afresh=True)
    except EvidenceChanged as error:
        raise Problem(409, error.problem, error.remedy) from None
    act = desk.registry.approve if approve else desk.registry.reject
    act(number, by=actor, why=why, evidence=evidence)


def move_version(desk: Desk, actor: Actor, version: Version, act: Act, why: str) -> None:
    """Do what a deployer or requester asks for; the registry says whether they may."""
    registry = desk.registry
    if act is Act.REQUEST:
        registry.request(version, by=actor, why=why)
    elif act is Act.CANARY:
        registry.start_canary(version.name, version.version, by=actor, why=why)
    elif act is Act.PROMOTE:
        registry.promote(version.name, version.version, by=actor, why=why)
    elif act is Act.ABORT:
        registry.abort_canary(version.name, version.version, by=actor, why=why)
    else:
        _roll_back(desk, actor, version, why)


def _roll_back(desk: Desk, actor: Actor, version: Version, why: str) -> None:
    champion = desk.registry.champion(version.name)
    if champion is None or champion.id != version.id:
        raise Problem(409, f"{version.label} is not in production", "open the page again and look at it")
    desk.registry.rollback(version.name, by=actor, why=why)
