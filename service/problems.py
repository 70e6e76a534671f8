"""RFC 9457 problem documents for every error; no stack traces or internal messages."""

from __future__ import annotations

import http
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Mount

from recommender import errors
from recommender.requests import RecommendRequest
from recommender.text import printable
from service.page_templates import problem_page
from service.server_paths import without_server_paths

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:checkpoint-recommender:problem:"
MAX_ERRORS = 20
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPTIONS_WITH_OTHER_NAMES = {"all": "everything", "checkpoint": "checkpoints"}

STATUS_OF: tuple[tuple[type[errors.RecommenderError], int, str], ...] = (  # the first that fits
    (errors.UnsafeInputError, 422, "unsafe-input"),
    (errors.WrongTaskError, 422, "wrong-task"),
    (errors.DatasetError, 422, "dataset"),
    (errors.IntegrityError, 422, "integrity"),
    (errors.CheckpointError, 422, "checkpoint"),
    (errors.InputError, 422, "input"),
    (errors.UsageError, 422, "request"),
    (errors.NotFoundError, 404, "not-found"),
    (errors.ConflictError, 409, "conflict"),
    (errors.UnavailableError, 503, "unavailable"),
    (errors.StorageError, 503, "storage"),
)


class FieldProblem(BaseModel):
    """One thing wrong with a request."""

    field: str = Field(description="Where: `body.epochs`, `query.limit`.", examples=["body.epochs"])
    message: str = Field(examples=["Input should be greater than or equal to 1"])


class Problem(BaseModel):
    """RFC 9457: what went wrong, for people in `detail`, for programs in `type` and `status`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": TYPE_PREFIX + "not-found",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no data set 'ds_1'.",
                "instance": "/v1/datasets/ds_1",
                "request_id": "9f0c2a7be4d14d0e",
            }
        }
    )

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None = None
    remedy: str | None = None
    errors: list[FieldProblem] | None = None


class HTTPProblem(HTTPException):
    """An error raised by the service itself, with its problem type."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        remedy: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.kind = kind
        self.remedy = remedy


def problem_response(
    scope: Mapping[str, Any],
    status: int,
    kind: str,
    detail: str,
    *,
    remedy: str | None,
    errors: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document as a response, a page for browsers. Works outside FastAPI too, in the middleware."""
    problem = Problem(
        type=TYPE_PREFIX + kind,
        title=http.HTTPStatus(status).phrase,
        status=status,
        detail=printable(in_fields(without_server_paths(detail)), limit=1000),
        instance=printable(scope.get("path", ""), limit=500),
        request_id=scope.get("state", {}).get("request_id"),
        remedy=None if remedy is None else printable(in_fields(without_server_paths(remedy)), limit=500),
        errors=list(errors) or None,
    )
    if wants_html(scope):
        return Response(problem_page(problem), status, dict(headers or {}), "text/html")
    return JSONResponse(problem.model_dump(exclude_none=True), status, dict(headers or {}), MEDIA_TYPE)


def wants_html(scope: Mapping[str, Any]) -> bool:
    """True when a browser asks for a page."""
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return b"text/html" in accept and not scope["path"].startswith("/v1/")


def problem_of(error: errors.RecommenderError | None, instance: str) -> Problem:
    """The problem document of failed background work; None stands for an unexpected error."""
    status, kind = status_of(error) if error else (500, "internal")
    return Problem(
        type=TYPE_PREFIX + kind,
        title="The question could not be answered",
        status=status,
        detail=printable(in_fields(without_server_paths(error.message)), limit=1000)
        if error
        else "Something failed inside the service.",
        instance=instance,
        remedy=printable(in_fields(without_server_paths(error.remedy)), limit=500)
        if error and error.remedy
        else None,
    )


def in_fields(text: str) -> str:
    """The message with the fields of a request in place of the command line's options: max_latency, not --max-latency.

    Commands in backquotes stay as they are typed.
    """

    def field(option: re.Match[str]) -> str:
        if option.group("command"):
            return option.group()
        name = option.group("name").replace("-", "_")
        name = OPTIONS_WITH_OTHER_NAMES.get(name, name)
        return name if name in RecommendRequest.model_fields else option.group()

    return re.sub(r"(?P<command>`[^`]*`)|--(?P<name>[a-z][a-z-]*[a-z])", field, text)


def status_of(error: errors.RecommenderError) -> tuple[int, str]:
    """Status and problem type of an error of ours."""
    for kind, status, slug in STATUS_OF:
        if isinstance(error, kind):
            return status, slug
    return 500, "internal"


def install(app: FastAPI) -> None:
    """Answer every kind of error with a problem document."""
    app.add_exception_handler(errors.RecommenderError, _recommender_error)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _validation)  # type: ignore[arg-type]
    app.add_exception_handler(Exception, _unexpected)


def _recommender_error(request: Request, error: errors.RecommenderError) -> Response:
    status, kind = status_of(error)
    if status == 500:
        return _unexpected(request, error)
    headers = {"Retry-After": "5"} if status == 503 else {}
    detail, remedy = error.message, error.remedy
    if isinstance(error, errors.StorageError):  # its message names the database's place: for the log only
        detail, remedy = "The store or the disk refuses.", "Ask the operator; /readyz says more."
        request.scope["state"]["failure"] = error
    return problem_response(request.scope, status, kind, detail, remedy=remedy, headers=headers)


def _http(request: Request, error: HTTPException) -> Response:
    if isinstance(error, HTTPProblem):
        kind, remedy = error.kind, error.remedy
    else:
        kind, remedy = http.HTTPStatus(error.status_code).phrase.lower().replace(" ", "-"), None
    detail, headers = str(error.detail), error.headers
    if error.status_code == 405:  # the router names the methods of one route, but several may share a path
        allowed = _allowed_methods(request.scope["path"], request.app.routes)
        detail, remedy, headers = (
            f"{request.method} is not understood here.",
            f"Send {allowed}.",
            {"Allow": allowed},
        )
    elif remedy is None and error.status_code == 404:
        detail, remedy = "There is nothing at this address.", "/docs lists the addresses of the API."
    return problem_response(request.scope, error.status_code, kind, detail, remedy=remedy, headers=headers)


def _validation(request: Request, error: RequestValidationError) -> Response:
    # Never `input`: it is what the client sent, of any size, and may not even be valid JSON.
    if any(entry["loc"] == ("body",) for entry in error.errors()) and not _says_json(request):
        return problem_response(
            request.scope,
            415,
            "unsupported-media-type",
            "The body is read as JSON only.",
            remedy="Send it with Content-Type: application/json.",
        )
    found = [
        FieldProblem(
            field=printable(".".join(str(part) for part in entry["loc"])),
            message="There is no such field."
            if entry["type"] == "extra_forbidden"
            else printable(in_fields(entry["msg"].removeprefix("Value error, "))),
        )
        for entry in error.errors()[:MAX_ERRORS]
    ]
    listed = "; ".join(f"{problem.field}: {problem.message}" for problem in found[:3])
    return problem_response(
        request.scope,
        422,
        "request",
        f"The request is not understood. {listed}",
        remedy="Correct what is named; /docs lists the fields of every request.",
        errors=found,
    )


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _unexpected(request: Request, error: Exception) -> Response:
    request.scope["state"]["failure"] = error
    return unexpected(request.scope)


def unexpected(scope: Mapping[str, Any]) -> Response:
    """The response to an error nobody foresaw, which says nothing of it."""
    return problem_response(
        scope,
        500,
        "internal",
        "Something failed inside the service.",
        remedy="Try again; the operator finds what happened by the request_id.",
    )


def _allowed_methods(path: str, routes: Sequence[BaseRoute]) -> str:
    """The methods that a path knows, as the Allow header lists them; "" for a path without a route."""

    def known(method: str) -> bool:
        asked = {"type": "http", "path": path, "root_path": "", "method": method}
        matching = [route for route in routes if route.matches(asked)[0] is Match.FULL]
        return any(method == "GET" or not isinstance(route, Mount) for route in matching)  # mounted are files

    found = [method for method in METHODS if known(method)]
    return ", ".join(["GET", "HEAD", *found[1:]] if "GET" in found else found)
