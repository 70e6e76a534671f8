"""Checks of the Host and Origin headers: against DNS rebinding and cross-site requests."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.auth import SAFE_METHODS
from service.problems import problem_response

_ACCEPTED = "recommender.host_accepted"


class HostCheckMiddleware:
    """Refuses unknown host names with 400 and state changes from other sites with 403.

    starlette's TrustedHostMiddleware judges the host; its plain-text refusal is replaced by a problem document.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app = app
        # In a Host header an IPv6 address stands between brackets.
        names = [f"[{name}]" if ":" in name else name for name in sorted(hosts)]
        self._trusted_hosts = TrustedHostMiddleware(_accept, allowed_hosts=names, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._trusted_hosts(scope, receive, _discard)
        if not scope.pop(_ACCEPTED, False):
            detail = "This host name is not one of the service's."
            remedy = "The operator names it with --allowed-host."
            await problem_response(scope, 400, "host", detail, remedy=remedy)(scope, receive, send)
            return
        if scope["method"] not in SAFE_METHODS and is_cross_site(Headers(scope=scope)):
            detail = "The request comes from a page of another site."
            remedy = "Use the service's own page, or a program that sends no Origin."
            await problem_response(scope, 403, "origin", detail, remedy=remedy)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _accept(scope: Scope, receive: Receive, send: Send) -> None:
    scope[_ACCEPTED] = True


async def _discard(message: Message) -> None:
    """Drop starlette's own refusal."""


def is_cross_site(headers: Headers) -> bool:
    """True when a browser names another site as the sender; programs that are no browser name none."""
    if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        return True
    # The scheme is left out: behind a TLS proxy ours is not what the browser sees.
    own = headers.get("host", "").lower()
    return any(_netloc(origin) != own for origin in headers.getlist("origin"))


def _netloc(origin: str) -> str | None:
    """`host:port` of an origin; None for "null" and anything else that is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") and parts.netloc else None
