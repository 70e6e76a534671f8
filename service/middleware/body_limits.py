"""Limits on request bodies: size, idle time and mean speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import HTTPProblem, problem_response
from service.settings import MB

GRACE_S = 30.0  # before the mean speed of a body counts
LINGER_S = 20.0  # a refused client may finish sending for so long, to be able to read the answer
LINGER_IDLE_S = 2.0
LINGER_BYTES = 512 * MB

_FASTER = "Send it again without pauses, over a faster connection."
LimitOf = Callable[[Scope], int]


class BodyLimitMiddleware:
    """Refuses bodies above the size limit (413), slow (408) and compressed ones (415); never buffers a body.

    A client that is refused while it sends would see a broken connection instead of the reason: what it still
    sends is read and thrown away for a short while.
    """

    def __init__(self, app: ASGIApp, *, limit_of: LimitOf, idle_s: float, min_bytes_per_s: float) -> None:
        self._app = app
        self._limit_of = limit_of
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit_of(scope)
        body = _LimitedBody(
            receive, send, limit=limit, idle_s=self._idle_s, min_bytes_per_s=self._min_bytes_per_s
        )
        declared = headers.get("content-length")
        body.complete = declared in (None, "0") and "transfer-encoding" not in headers
        if declared is not None and (not declared.isdecimal() or int(declared[:20]) > limit):
            response = problem_response(
                scope, 413, "too-large", _too_large(limit), remedy="Send less at once."
            )
            await response(scope, receive, body.send)
            return
        if headers.get("content-encoding", "identity").lower() != "identity":
            detail = "The body is compressed, which is not read."
            remedy = "Send it as it is, without Content-Encoding; a zip or tar may be compressed in itself."
            response = problem_response(scope, 415, "media-type", detail, remedy=remedy)
            await response(scope, receive, body.send)
            return
        await self._app(scope, body.receive, body.send)


class _LimitedBody:
    def __init__(
        self, receive: Receive, send: Send, *, limit: int, idle_s: float, min_bytes_per_s: float
    ) -> None:
        self._receive = receive
        self._send = send
        self._limit = limit
        self._idle_s = idle_s
        self._min_bytes_per_s = min_bytes_per_s
        self._started_s = time.monotonic()
        self._bytes = 0
        self.complete = False

    async def receive(self) -> Message:
        if self.complete:
            return await self._receive()  # waits for the client to go away, as long as that takes
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_s)
        except TimeoutError:
            self._stop()
            raise HTTPProblem(
                408, "too-slow", f"Nothing came for {self._idle_s:g} seconds.", remedy=_FASTER
            ) from None
        self._count(message)
        if self._bytes > self._limit:
            raise HTTPProblem(413, "too-large", _too_large(self._limit), remedy="Send less at once.")
        seconds = time.monotonic() - self._started_s
        if not self.complete and seconds > GRACE_S and self._bytes < seconds * self._min_bytes_per_s:
            self._stop()
            raise HTTPProblem(
                408, "too-slow", f"{self._bytes} bytes in {seconds:.0f} seconds is too slow.", remedy=_FASTER
            )
        return message

    async def send(self, message: Message) -> None:
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if last and not self.complete:
            await self._send({**message, "more_body": True})
            await self._drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    def _count(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        self.complete = message["type"] == "http.disconnect" or not message.get("more_body", False)

    def _stop(self) -> None:
        self.complete = True  # there is no use in waiting for the rest of a slow one

    async def _drain(self) -> None:
        """Read and drop the rest of the body."""
        end, most = time.monotonic() + LINGER_S, self._bytes + LINGER_BYTES
        while not self.complete and time.monotonic() < end and self._bytes < most:
            try:
                self._count(await asyncio.wait_for(self._receive(), LINGER_IDLE_S))
            except TimeoutError:
                return


def _too_large(limit: int) -> str:
    shown = f"{limit // MB} MB" if limit >= MB else f"{limit // 1024} kB"
    return f"The body is larger than the {shown} allowed here."
