"""The application: pages and REST interface over one registry."""

from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from trace_retriever import __version__
from trace_retriever.config.review import ReviewSettings
from trace_retriever.errors import TraceError
from trace_retriever.registry.registry import Registry, utc_now
from trace_retriever.review import acts, api, pages, render
from trace_retriever.review.courier import delivering
from trace_retriever.review.desk import Desk
from trace_retriever.review.dossier import Dossiers, EvidenceChanged
from trace_retriever.review.guard import Guard
from trace_retriever.review.identity import Gateway
from trace_retriever.review.problems import Problem, of_error
from trace_retriever.review.sessions import Sessions
from trace_retriever.review.throttle import Throttle
from trace_retriever.review.users import Users

API = "/api/"
STATIC = {"review.css": "text/css", "icon.svg": "image/svg+xml"}


def create_app(
    registry: Registry, settings: ReviewSettings, *, clock: Callable[[], datetime] = utc_now
) -> FastAPI:
    """The review page of a registry.

    Args:
        registry: whose versions and requests are shown.
        settings: who is believed, and what is bounded.
        clock: gives the time, in UTC, to sessions and tokens.

    Raises:
        ConfigError: the proxy's secret is not in its variable.
    """
    app = FastAPI(
        title="TRACE review",
        version=__version__,
        summary="Versions of a model, requests to put them into production, decisions, and the log.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=delivering(registry, settings.deliver_seconds),
    )
    app.state.desk = Desk(
        registry=registry,
        settings=settings,
        users=Users(Path(settings.users)),
        sessions=Sessions(settings, clock),
        throttle=Throttle(settings),
        gateway=Gateway.of(settings),
        dossiers=Dossiers(),
        clock=clock,
    )
    app.include_router(api.router)
    app.include_router(acts.router)
    app.include_router(pages.router)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    _handle_problems(app)
    app.add_middleware(Guard, settings=settings)
    return app


def _static(name: str) -> Response:
    """One of the two files that pages load."""
    if name not in STATIC:
        raise Problem(404, "there is no such file")
    content = files("trace_retriever.review").joinpath("static", name).read_bytes()
    return Response(content, media_type=STATIC[name], headers={"Cache-Control": "public, max-age=300"})


def _handle_problems(app: FastAPI) -> None:
    """Every refusal in words: as `application/problem+json` below /api, as a page elsewhere."""

    def answer(request: Request, problem: Problem) -> Response:
        if request.url.path.startswith(API):
            return JSONResponse(
                problem.as_json(),
                problem.status,
                headers=problem.headers,
                media_type="application/problem+json",
            )
        return render.problem_page(app.state.desk, problem)

    def refused(request: Request, problem: Exception) -> Response:
        assert isinstance(problem, Problem)
        return answer(request, problem)

    def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, TraceError)
        changed = isinstance(error, EvidenceChanged)
        return answer(request, Problem(409, error.problem, error.remedy) if changed else of_error(error))

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = [f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors()]
        return answer(request, Problem(422, "; ".join(found)[:1000]))

    def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(request, Problem(error.status_code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Problem, refused)
    app.add_exception_handler(TraceError, failed)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)
