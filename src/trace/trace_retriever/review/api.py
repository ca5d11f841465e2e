"""The REST interface: the same acts as the pages, for holders of a token; it reads no cookie."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from fastapi.security import HTTPBearer

from trace_retriever.registry.errors import RegistryError
from trace_retriever.registry.registry import Registry
from trace_retriever.registry.types import Act, Actor, Entry, RequestState, State, Version
from trace_retriever.registry.types import Request as Asked
from trace_retriever.review import schemas, views
from trace_retriever.review.acts import decide_on, move_version
from trace_retriever.review.desk import bearer, desk_of
from trace_retriever.review.problems import Problem

_CONTENT = {"application/problem+json": {"schema": schemas.ProblemOut.model_json_schema()}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "Not a request that is answered here.", "content": _CONTENT},
    401: {"description": "No valid token.", "content": _CONTENT},
    403: {"description": "The rules say no.", "content": _CONTENT},
    404: {"description": "There is none of that name.", "content": _CONTENT},
    409: {"description": "The state moved on, or the evidence is another.", "content": _CONTENT},
    413: {"description": "The body is too large.", "content": _CONTENT},
    422: {"description": "A value is not as it must be.", "content": _CONTENT},
    429: {"description": "Too often; `Retry-After` says how long to wait.", "content": _CONTENT},
}
_SCHEME = HTTPBearer(auto_error=False, description="A token from `trace review add-token NAME`.")
router = APIRouter(
    prefix="/api/v1", tags=["review"], responses=_REFUSALS, dependencies=[Depends(_SCHEME), Depends(bearer)]
)

Who = Annotated[Actor, Depends(bearer, use_cache=True)]
Name = Annotated[str, InPath(pattern="^[a-z][a-z0-9-]{0,62}[a-z0-9]$", description="Name of the model.")]
Number = Annotated[str, InPath(pattern=r"^[0-9A-Za-z.-]{1,64}$", description="Its version.")]
Id = Annotated[int, InPath(ge=1, le=2**31 - 1, description="Number of the request.")]


def _registry(request: Request) -> Registry:
    return desk_of(request).registry


Books = Annotated[Registry, Depends(_registry)]


@router.get("/me", response_model=schemas.Person)
def me(who: Who) -> schemas.Person:
    """Whose token this is."""
    return schemas.Person(name=who.name, roles=sorted(who.roles))


@router.get("/models/{name}", response_model=schemas.Model)
def model(books: Books, name: Name) -> dict[str, Any]:
    """What is in production, and what is tried, of a model."""
    return {"name": name, "champion": books.champion(name), "canary": books.canary(name)}


@router.get("/versions", response_model=list[schemas.VersionOut])
def versions(
    books: Books,
    name: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[State | None, Query()] = None,
) -> list[Version]:
    """Versions, the newest first."""
    return books.versions(name, state)


@router.get("/versions/{name}/{version}", response_model=schemas.VersionOut)
def version_of(books: Books, name: Name, version: Number) -> Version:
    """One version."""
    return books.version(name, version)


@router.get("/versions/{name}/{version}/evidence", response_model=schemas.Evidence)
def evidence(request: Request, books: Books, name: Name, version: Number) -> dict[str, Any]:
    """The verdict, and figures per pair beside the champion's."""
    found = books.version(name, version)
    both = views.beside(desk_of(request), found)
    if both.own is None:
        raise Problem(409, both.trouble or "there is no evidence")
    report = views.report(both.own, both.other)
    return {
        "digest": found.digests["evidence"],
        "verdict": both.own.verdict,
        "champion": both.champion.version if both.champion is not None else None,
        "pairs": report.rows,
        "lost": len(report.lost),
        "won": len(report.won),
    }


@router.post("/versions/{name}/{version}/requests", status_code=201, response_model=schemas.RequestOut)
def ask(request: Request, who: Who, books: Books, name: Name, version: Number, body: schemas.Why) -> Asked:
    """Ask for a version to be put into production."""
    desk_of(request).throttle.act(who.name)
    return books.request(books.version(name, version), by=who, why=body.why)


@router.post("/versions/{name}/{version}/{act}", response_model=schemas.VersionOut)
def move(
    request: Request,
    who: Who,
    books: Books,
    name: Name,
    version: Number,
    act: Literal["canary", "promote", "abort", "rollback"],
    body: schemas.Why,
) -> Version:
    """Start or end a canary, promote it, or roll the version in production back."""
    desk = desk_of(request)
    desk.throttle.act(who.name)
    move_version(desk, who, books.version(name, version), Act(act), body.why)
    return books.version(name, version)


@router.get("/requests", response_model=list[schemas.RequestOut])
def requests(books: Books, state: Annotated[RequestState | None, Query()] = None) -> list[Asked]:
    """Requests, the newest first."""
    return books.requests(state)


@router.get("/requests/{number}", response_model=schemas.RequestOut)
def request_of(books: Books, number: Id) -> Asked:
    """One request."""
    return books.request_of(number)


@router.post("/requests/{number}/withdraw", response_model=schemas.RequestOut)
def withdraw(request: Request, who: Who, books: Books, number: Id, body: schemas.Why) -> Asked:
    """Take an open request back."""
    desk_of(request).throttle.act(who.name)
    return books.withdraw(number, by=who, why=body.why)


@router.post("/requests/{number}/{decision}", response_model=schemas.RequestOut)
def decide(
    request: Request,
    who: Who,
    books: Books,
    number: Id,
    decision: Literal["approve", "reject"],
    body: schemas.Decide,
) -> Asked:
    """Approve or reject, on the evidence whose digest is given."""
    desk = desk_of(request)
    desk.throttle.act(who.name)
    decide_on(desk, who, number, approve=decision == "approve", why=body.why, evidence=body.evidence)
    return books.request_of(number)


@router.get("/log", response_model=list[schemas.EntryOut])
def log(
    books: Books,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Entries behind this number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> list[Entry]:
    """Entries of the log, in order."""
    return books.log(after, limit=limit)


@router.get("/log/verification", response_model=schemas.Verification)
def verification(books: Books) -> schemas.Verification:
    """Whether the log is as it was written."""
    head = books.head()
    try:
        return schemas.Verification(verified=True, entries=books.verify_log(), head=head, problem=None)
    except RegistryError as error:
        return schemas.Verification(verified=False, entries=0, head=head, problem=error.problem)
