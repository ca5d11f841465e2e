"""The pages that are read: queue, request, version, samples, versions, log."""

from collections import Counter
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response

from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.types import RequestState, State, Version
from trace_retriever.review import dossier, render, views
from trace_retriever.review.comparison import changes
from trace_retriever.review.desk import Visitor, desk_of, visitor
from trace_retriever.review.problems import Problem
from trace_retriever.review.sheets import PAGE, Kind, chosen, sheets

router = APIRouter(include_in_schema=False)
Browser = Annotated[Visitor, Depends(visitor)]
Name = Annotated[str, InPath(max_length=64)]
Number = Annotated[str, InPath(max_length=128)]
Id = Annotated[int, InPath(ge=1, le=2**31 - 1)]
RECENT, LOG_PAGE = 10, 50


def _login(request: Request, browser: Visitor) -> Response:
    """To the login, and from there back to this page."""
    if from_elsewhere(request, browser):
        return render.arrived()
    if not browser.desk.settings.password_login:
        raise Problem(401, "the gateway did not say who you are", "open this page through the gateway")
    query = f"?{request.url.query}" if request.url.query else ""
    return render.redirect(browser, "/login?" + urlencode({"to": request.url.path + query}))


def from_elsewhere(request: Request, browser: Visitor) -> bool:
    """Whether a link of another site led here, so that a strict cookie stayed behind."""
    return browser.fresh and request.headers.get("sec-fetch-site") in ("cross-site", "same-site")


@router.get("/")
def queue(request: Request, browser: Browser) -> Response:
    """What waits for a decision, what was decided, what is in production."""
    if browser.actor is None:
        return _login(request, browser)
    registry = browser.desk.registry
    asked = registry.requests()
    versions = registry.versions()
    return render.page(
        browser,
        "queue.html.j2",
        waiting=sorted(
            (found for found in asked if found.state is RequestState.OPEN), key=lambda found: found.expires
        ),
        decided=[found for found in asked if found.state is not RequestState.OPEN][:RECENT],
        models=[
            (name, registry.champion(name), registry.canary(name))
            for name in sorted({version.name for version in versions})
        ],
        states=Counter(version.state.value for version in versions),
        rules=registry.rules,
    )


@router.get("/requests/{number}")
def request_page(request: Request, browser: Browser, number: Id) -> Response:
    """A request with all evidence, and the form to decide on it."""
    if browser.actor is None:
        return _login(request, browser)
    desk = browser.desk
    asked = desk.registry.request_of(number)
    version = desk.registry.version(asked.name, asked.version)
    both = views.beside(desk, version)
    return render.page(
        browser,
        "request.html.j2",
        asked=asked,
        refusal=views.may_decide(desk, asked, browser.actor),
        may_withdraw=asked.state is RequestState.OPEN and asked.requested_by == browser.actor.name,
        **_version_content(browser, version, both),
    )


@router.get("/versions/{name}/{number}")
def version_page(request: Request, browser: Browser, name: Name, number: Number) -> Response:
    """A version with all evidence, and what may be done with it."""
    if browser.actor is None:
        return _login(request, browser)
    version = browser.desk.registry.version(name, number)
    both = views.beside(browser.desk, version)
    acts = views.acts_for(version, browser.actor)
    return render.page(browser, "version.html.j2", acts=acts, **_version_content(browser, version, both))


def _version_content(browser: Visitor, version: Version, both: views.Beside) -> dict[str, Any]:
    return {
        "version": version,
        "both": both,
        "report": views.report(both.own, both.other) if both.own is not None else None,
        "history": browser.desk.registry.history(version.name, version.version),
        "listed": views.LISTED_CHANGES,
        "home": home_of(version),
        "champion_home": home_of(both.champion),
    }


def home_of(version: Version | None) -> str:
    """The path of a version's page; empty without one."""
    return f"/versions/{quote(version.name)}/{quote(version.version)}" if version is not None else ""


@router.get("/versions/{name}/{number}/samples")
def samples_page(
    request: Request,
    browser: Browser,
    name: Name,
    number: Number,
    kind: Annotated[Literal["lost", "won", "all"], Query()] = "all",
    pair: Annotated[str, Query(max_length=128)] = "",
    page: Annotated[int, Query(ge=1, le=100_000)] = 1,
) -> Response:
    """Sample queries side by side with the champion, a page at a time."""
    if browser.actor is None:
        return _login(request, browser)
    version = browser.desk.registry.version(name, number)
    both = views.beside(browser.desk, version)
    if both.own is None:
        raise Problem(409, both.trouble or "there is no evidence")
    which: Kind = kind if both.other is not None else "all"
    lost, won = changes(both.own, both.other) if both.other is not None else ([], [])
    qids = chosen(which, lost, won, both.own, pair or None)
    pages = max(1, -(-len(qids) // PAGE))
    page = min(page, pages)
    return render.page(
        browser,
        "samples.html.j2",
        version=version,
        both=both,
        kind=which,
        pair=pair,
        pairs=sorted({sample.pair for sample in both.own.samples.values()}),
        count=len(qids),
        number=page,
        pages=pages,
        sheets=list(sheets(qids[(page - 1) * PAGE : page * PAGE], both.own, both.other)),
        home=home_of(version),
        champion_home=home_of(both.champion),
        step=lambda to: "?" + urlencode({"kind": which, "pair": pair, "page": to}),
    )


@router.get("/versions/{name}/{number}/pictures/{picture}")
def picture(browser: Browser, name: Name, number: Number, picture: str) -> Response:
    """A picture of a version's samples."""
    browser.known  # noqa: B018 (raises where nobody has logged in)
    version = browser.desk.registry.version(name, number)
    content = dossier.picture(version, picture)
    if content is None:
        raise Problem(404, "there is no such picture")
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/versions")
def versions_page(
    request: Request, browser: Browser, state: Annotated[State | Literal[""], Query()] = ""
) -> Response:
    """All versions, the newest first."""
    if browser.actor is None:
        return _login(request, browser)
    found = browser.desk.registry.versions(state=State(state) if state else None)
    return render.page(browser, "versions.html.j2", versions=found, state=state, states=list(State))


@router.get("/log")
def log_page(request: Request, browser: Browser, after: Annotated[int, Query(ge=-1)] = -1) -> Response:
    """The log, by default its end, and whether it verifies."""
    if browser.actor is None:
        return _login(request, browser)
    registry = browser.desk.registry
    try:
        count, trouble = registry.verify_log(), None
    except RegistryError as error:
        count, trouble = 0, error.problem
    start = after if after >= 0 else max(0, (count or _last(browser)) - LOG_PAGE)
    entries = registry.log(start, limit=LOG_PAGE)
    return render.page(
        browser,
        "log.html.j2",
        entries=entries,
        count=count,
        trouble=trouble,
        head=registry.head(),
        before=max(0, start - LOG_PAGE) if start else None,
        following=entries[-1].seq if len(entries) == LOG_PAGE else None,
    )


def _last(browser: Visitor) -> int:
    log = browser.desk.registry.log()
    return log[-1].seq if log else 0


@router.get("/healthz")
def health(request: Request) -> Response:
    """For probes: the registry answers."""
    desk_of(request).registry.head()
    return Response("ok", media_type="text/plain")
