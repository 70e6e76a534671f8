"""Host and origin: who may talk to the service from a browser, and under which name."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.auth import SAFE_METHODS
from service.problems import problem_response


class Doorman:
    """Refuses unknown hosts (DNS rebinding) and whatever another site makes a browser send."""

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or _name_of(host) not in self._hosts:
            detail = "This host name is not one of the service's."
            remedy = "The operator names it with --allowed-host."
            await problem_response(scope, 400, "host", detail, remedy=remedy)(scope, receive, send)
            return
        if scope["method"] not in SAFE_METHODS and _cross_site(headers, host):
            detail = "The request comes from a page of another site."
            await problem_response(scope, 403, "origin", detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name_of(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises for what is no port
    except ValueError:
        return None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return None
    return parts.hostname


def _cross_site(headers: Headers, host: str) -> bool:
    """Whether a browser says that another site caused this. Programs that are no browser say nothing."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    origins = headers.getlist("origin")
    if not origins:
        return False
    # The scheme is left out: behind a TLS proxy ours is not what the browser sees.
    return any(urlsplit_netloc(origin) != host.lower() for origin in origins)


def urlsplit_netloc(origin: str) -> str | None:
    """`host:port` of an origin; None for "null" and anything else that is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None
