"""HEAD for whatever answers GET, and the methods that a path knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


class HeadMiddleware:
    """Answers HEAD as GET is answered, without the body; what a stream would still send is not waited for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = False

        async def send_start(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                answered = True
                inner.cancel()

        scope["method"] = "GET"  # in place, for the log reads the route from this very scope
        inner = asyncio.ensure_future(self._app(scope, receive, send_start))
        try:
            await inner
        except asyncio.CancelledError:
            if not answered:
                raise
        finally:
            scope["method"] = "HEAD"


def allowed_methods(path: str, routes: Sequence[BaseRoute]) -> str:
    """The methods that a path knows, as the Allow header lists them; "" for a path without a route."""

    def known(method: str) -> bool:
        asked = {"type": "http", "path": path, "root_path": "", "method": method}
        matching = [route for route in routes if route.matches(asked)[0] is Match.FULL]
        return any(method == "GET" or not isinstance(route, Mount) for route in matching)  # mounted are files

    found = [method for method in METHODS if known(method)]
    return ", ".join(["GET", "HEAD", *found[1:]] if "GET" in found else found)
