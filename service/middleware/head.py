"""HEAD for whatever answers GET."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
