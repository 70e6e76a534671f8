"""Authentication: every path needs a key or a session except the few named here."""

from __future__ import annotations

import math

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from recommender.errors import StorageError
from recommender.store import Store
from service.auth import SAFE_METHODS, Caller, caller_of_cookie, caller_of_key
from service.problems import problem_response
from service.rate_limits import TokenBuckets

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/login", "/favicon.ico"})
ALWAYS_OPEN = OPEN_PATHS - {"/readyz"}  # which says more to those with a key
OPEN_FOLDER = "/static/"
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="checkpoint recommender"'}


class AuthenticationMiddleware:
    """Authenticates, checks the role against the method, and counts the request against the key's rate limit."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: Store,
        cookie: str,
        requests: TokenBuckets,
        attempts: TokenBuckets,
        login_page: bytes,
    ) -> None:
        self._app = app
        self._store = store
        self._cookie = cookie
        self._requests = requests
        self._attempts = attempts
        self._login_page = login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = await self._refusal(scope)
        await (response or self._app)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        """The response that refuses a request; None for requests that may pass."""
        path = scope["path"]
        headers = Headers(scope=scope)
        given = headers.get("authorization")
        if path in ALWAYS_OPEN or (given is None and path in OPEN_PATHS) or path.startswith(OPEN_FOLDER):
            return None
        try:
            caller = await run_in_threadpool(self._caller, headers)
        except StorageError as error:
            scope["state"]["failure"] = error
            detail = "The store cannot be reached, so no key can be checked."
            remedy = "Try again soon, or ask the operator; /readyz says more."
            return problem_response(
                scope, 503, "storage", detail, remedy=remedy, headers={"Retry-After": "5"}
            )
        if caller is None:
            return self._unauthenticated(scope, headers)
        scope["state"]["caller"] = caller
        wait_s = self._requests.take(caller.key_id)
        if wait_s:
            return too_many(scope, wait_s)
        if caller.by_cookie and not _from_our_page(scope["method"], headers):
            detail = "A session changes things only from the service's own page."
            return problem_response(scope, 403, "origin", detail, remedy="Programs send a key instead.")
        if not caller.may(scope["method"]) and path != "/logout":  # which changes nothing but the session
            detail = f"A key of the role {caller.role!r} may only read."
            return problem_response(scope, 403, "role", detail, remedy="Ask the operator for another key.")
        return None

    def _caller(self, headers: Headers) -> Caller | None:
        given = headers.get("authorization")
        if given is not None:
            scheme, _, key = given.partition(" ")
            return caller_of_key(self._store, key.strip()) if scheme.lower() == "bearer" else None
        cookie = cookie_of(headers, self._cookie)
        return None if cookie is None else caller_of_cookie(self._store, cookie)

    def _unauthenticated(self, scope: Scope, headers: Headers) -> Response:
        if "authorization" in headers:
            client = scope.get("client")
            wait_s = self._attempts.take(client[0] if client else "unknown")
            if wait_s:
                return too_many(scope, wait_s)
        elif scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return Response(self._login_page, 401, media_type="text/html", headers=CHALLENGE)
        detail = "A valid API key is needed: `Authorization: Bearer ckr_…`."
        remedy = "`recommend keys create` makes one."
        return problem_response(scope, 401, "key", detail, remedy=remedy, headers=CHALLENGE)


def _from_our_page(method: str, headers: Headers) -> bool:
    """True when the browser names our own page as the sender; HostCheckMiddleware has refused other origins."""
    return method in SAFE_METHODS or "origin" in headers or headers.get("sec-fetch-site") == "same-origin"


def cookie_of(headers: Headers, name: str) -> str | None:
    """The value of a cookie, None where there is none. Those of other programs on this host may be of any form."""
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(name)


def too_many(scope: Scope, wait_s: float) -> Response:
    """429, with the seconds to wait."""
    return problem_response(
        scope,
        429,
        "too-many",
        "Too many requests for this key or address.",
        remedy="Wait as long as Retry-After says.",
        headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
    )
