"""Request context: request id, log line, metrics and security headers; errors nobody handled become a 500."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recommender.errors import RecommenderError
from service import logs
from service.metrics import Metrics
from service.problems import unexpected

_REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    ("content-security-policy", CONTENT_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)


class RequestContextMiddleware:
    """The outermost middleware: every response gets its headers, every failure is logged and counted."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, strict_transport: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._logger = logs.logger()
        self._headers: Iterable[tuple[str, str]] = SECURITY_HEADERS
        if strict_transport:
            self._headers = (*SECURITY_HEADERS, ("strict-transport-security", "max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        record = _RequestRecord(scope, send, self._headers)
        self._metrics.under_way.inc()
        structlog.contextvars.bind_contextvars(request_id=record.request_id)
        try:
            await self._app(scope, receive, record.send)
        except Exception as error:
            scope["state"]["failure"] = error
            if record.status is None:
                await unexpected(scope)(scope, receive, record.send)
        finally:
            self._metrics.under_way.dec()
            self._log(scope, record)
            structlog.contextvars.clear_contextvars()

    def _log(self, scope: Scope, record: _RequestRecord) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = _route_of(scope)
        failure = scope["state"].get("failure")
        left = failure is not None and _client_left(failure)
        status = 499 if left else record.status or 499  # the client went away before there was an answer
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(method, route).observe(record.seconds)
        if failure is not None and not left:
            said = {"message": str(failure)} if isinstance(failure, RecommenderError) else {}
            self._logger.error("failed", route=route, failed_in=logs.where(failure), **said)
        if route not in _QUIET:
            caller = scope["state"].get("caller")
            self._logger.info(
                "request",
                method=method,
                route=route,
                status=status,
                ms=round(1000 * record.seconds, 1),
                key=getattr(caller, "key_id", None),
            )


class _RequestRecord:
    """The id of one request, and the status and time of its response."""

    def __init__(self, scope: Scope, send: Send, headers: Iterable[tuple[str, str]]) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = self.request_id
        self.status: int | None = None
        self.seconds = 0.0
        self._send = send
        self._headers = headers
        self._started_s = time.perf_counter()
        self._is_asset = scope.get("path", "").startswith("/static/")

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.seconds = time.perf_counter() - self._started_s
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            for name, value in self._headers:
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-cache" if self._is_asset else "no-store")
        await self._send(message)


def _route_of(scope: Scope) -> str:
    """The route's path template, e.g. `/v1/datasets/{id}`; "unmatched" where no route fits."""
    context: Any = scope.get("fastapi", {}).get(
        "effective_route_context"
    )  # knows the prefix; newer FastAPIs only
    for route in (context, scope.get("route")):
        path: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
        if path:
            return path
    path = str(scope.get("path", ""))
    return path if path in _QUIET else "/static" if path.startswith("/static/") else "unmatched"


def _client_left(failure: BaseException) -> bool:
    return type(failure).__name__ in ("ClientDisconnect", "CancelledError")
