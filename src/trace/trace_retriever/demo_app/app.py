"""The demo as a web application: a form that works without JavaScript, pictures by id, nothing kept."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.demo_app.page import Page, View
from trace_retriever.demo_app.pictures import UPLOAD, Brought, bring, bring_again, small_copy
from trace_retriever.demo_app.question import Question
from trace_retriever.errors import DataError, ImageError, TraceError

Proceed = Callable[[Request], Awaitable[Response]]
MOST_BODY = 16_000_000  # bytes of a request; an upload between the two limits is still told its size
MOST_PIXELS = 1_003_520  # what a model looks at, at most; a visitor's picture is scaled down to it
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; "
    "script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(page: Page, *, hosts: Sequence[str] = ("*",), most_pixels: int = MOST_PIXELS) -> FastAPI:
    """The application.

    Args:
        page: what it shows.
        hosts: names under which it may be asked, against pages elsewhere that point their name here.
        most_pixels: that the model looks at.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        worker = page.demo.worker
        await worker.start()
        yield
        await worker.drain(worker.settings.drain_seconds)

    app = FastAPI(title="TRACE demo", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BODY)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.middleware("http")(_guard(page))
    app.mount("/static", StaticFiles(directory=Path(str(files("trace_retriever.demo_app") / "static"))))
    _add_pages(app, page, most_pixels)
    _add_pictures(app, page)
    _add_errors(app, page)
    return app


def _guard(page: Page) -> Callable[[Request, Proceed], Awaitable[Response]]:
    """Headers for every answer; and a word on a body that says itself that it is too large."""

    async def guard(request: Request, proceed: Proceed) -> Response:
        length = request.headers.get("content-length", "0")
        large = length.isascii() and length.isdecimal() and int(length) > MOST_BODY
        response = await (_said(page, HTTPStatus.REQUEST_ENTITY_TOO_LARGE) if large else proceed(request))
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return guard


def _add_pages(app: FastAPI, page: Page, most_pixels: int) -> None:
    first = page.demo.first_pool

    @app.get("/", response_class=HTMLResponse)
    async def start(request: Request) -> Response:
        """The form, filled in from the address, with examples below."""
        question = Question.read(request.query_params, first)
        return await _shown(page, View(question, browse=_number(request.query_params.get("page", "0"))))

    @app.get("/search", response_class=HTMLResponse)
    async def search(request: Request) -> Response:
        """Words, or a picture of the data set, or both: an address that can be kept."""
        return await _answered(page, Question.read(request.query_params, first), None)

    @app.post("/search", response_class=HTMLResponse)
    async def search_form(request: Request) -> Response:
        """The same from the form, which may bring a picture; without one it leads to the address."""
        async with request.form(max_files=1, max_fields=20, max_part_size=MOST_BODY) as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
            question = Question.read(fields, first)
            try:
                brought = await _brought(form, most_pixels)
            except NoAnswer as error:
                return await _shown(page, View(question, error=error), error.status)
        if brought is None:
            return RedirectResponse(question.address(), HTTPStatus.SEE_OTHER)
        return await _answered(page, question, brought)


async def _brought(form: FormData, most_pixels: int) -> Brought | None:
    """The visitor's picture: a new file, or else the one that the form kept."""
    upload, kept = form.get("upload"), form.get("kept")
    if isinstance(upload, UploadFile) and upload.filename:
        content = await upload.read(UPLOAD.max_bytes + 1)
        if upload.size and upload.size > len(content):
            content += bytes(upload.size - len(content))  # its true size is in the message
        return await run_in_threadpool(bring, content, most_pixels)
    return await run_in_threadpool(bring_again, kept) if isinstance(kept, str) and kept else None


async def _answered(page: Page, question: Question, brought: Brought | None) -> Response:
    try:
        answer = await page.demo.ask(question, brought)
    except TraceError as error:
        return await _shown(page, View(question, brought, error=_in_words(error)), _status(error))
    return await _shown(page, View(question, brought, answer))


async def _shown(page: Page, view: View, status: int = HTTPStatus.OK) -> Response:
    html = await run_in_threadpool(page.render, view)
    retry = {"Retry-After": "3"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return HTMLResponse(html, status, retry)


def _add_pictures(app: FastAPI, page: Page) -> None:
    @app.get("/pictures/{kind}/{name}")
    def picture(kind: str, name: str) -> Response:
        """A small copy of a picture of the data set, by its candidate's id or its example's name."""
        try:
            question = Question.read({"picture": f"{kind}:{name}"}, page.demo.first_pool)
            content, media = small_copy(page.demo.picture(question.picture))
        except (NoAnswer, ImageError, DataError):  # the page shows its text in the picture's place
            return Response(status_code=HTTPStatus.NOT_FOUND)
        return Response(content, media_type=media, headers={"Cache-Control": "private, max-age=3600"})


def _add_errors(app: FastAPI, page: Page) -> None:
    """Whatever goes wrong is said in words on the page that it happened on."""

    @app.exception_handler(TraceError)
    async def trace_error(_: Request, error: TraceError) -> Response:
        view = View(Question(page.demo.first_pool), error=_in_words(error))
        return await _shown(page, view, _status(error))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        return await _said(page, HTTPStatus(error.status_code))


async def _said(page: Page, status: HTTPStatus) -> Response:
    """The page with a status in words."""
    problem, remedy = {
        413: ("What was sent is too large.", f"take a picture below {UPLOAD.max_bytes // 1_000_000} MB"),
        404: ("There is no such page.", "begin here"),
    }.get(status, ("This request cannot be read.", "begin again here"))
    view = View(Question(page.demo.first_pool), error=NoAnswer(problem, status=status, remedy=remedy))
    return await _shown(page, view, status)


def _status(error: TraceError) -> int:
    return error.status if isinstance(error, NoAnswer) else HTTPStatus.INTERNAL_SERVER_ERROR


def _in_words(error: TraceError) -> TraceError:
    """An error as a visitor may read it: files of this machine are for the log."""
    if isinstance(error, NoAnswer):
        return error
    logging.getLogger(__name__).error("%s", error)
    return NoAnswer(
        "The data set or the model behind this page is not in order.", remedy="tell whoever runs it"
    )


def _number(text: str) -> int:
    """A page number; anything else is the first."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
