"""uvicorn's HTTP/1.1 protocol with a timeout for the request head."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.middleware.request_context import SECURITY_HEADERS
from service.problems import MEDIA_TYPE, TYPE_PREFIX


class TimedProtocol(H11Protocol):
    """H11Protocol with a timeout for the request head; uvicorn has none."""

    head_timeout_s = 10.0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits_for_head() and self._head_timer is None and not self.transport.is_closing():
            self._start_head_timer()  # the head of a further request on the same connection has begun

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        problem = {
            "type": f"{TYPE_PREFIX}http",
            "title": "Bad Request",
            "status": 400,
            "detail": msg,
            "instance": "",
        }
        body = json.dumps(problem).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in SECURITY_HEADERS),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_timed_out)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if (
            self._waits_for_head()
            and self.timeout_keep_alive_task is None
            and not self.transport.is_closing()
        ):
            self.transport.close()


def protocol_with(head_timeout_s: float) -> type[H11Protocol]:
    """The protocol class for a server with this limit."""
    return type("TimedProtocol", (TimedProtocol,), {"head_timeout_s": head_timeout_s})
