"""uvicorn's HTTP/1.1 protocol with limits, so that no single connection can hold up the others."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.middleware.request_context import SECURITY_HEADERS
from service.problems import MEDIA_TYPE, TYPE_PREFIX

HEAD_BYTES = 32 * 1024
FIRST_READ_BYTES = 1024
MAX_READ_BYTES = 256 * 1024
PARSE_BUDGET_S = 0.001  # of the event loop, for what one connection sends at a time
PIPELINE_DELAY_S = 0.1  # between two requests that were sent without waiting for the response
MAX_SMALL_PIECES = 1000  # of a body, before their mean size counts
MIN_MEAN_PIECE_BYTES = 16


class LimitedProtocol(H11Protocol):
    """H11Protocol with timeouts for request heads and slow readers, and a share of the event loop per connection.

    Parsing is Python code: a body in chunks of one byte, or requests sent by the thousand without waiting for a
    response, would keep the event loop busy for seconds. So a connection that is slow to parse is read in small
    pieces, tiny chunks are refused, and pipelined requests are answered ten a second.
    """

    conn: _ChunkLimitedConnection
    head_timeout_s = 10.0
    write_timeout_s = 60.0
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _next_request: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.conn = _ChunkLimitedConnection(
            h11.SERVER, self.config.h11_max_incomplete_event_size or HEAD_BYTES
        )
        self.transport.max_size = FIRST_READ_BYTES  # type: ignore[attr-defined]  # what asyncio passes to recv()
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        started_s = time.perf_counter()
        super().data_received(data)
        self._adapt_read_size(time.perf_counter() - started_s)
        if self._waits_for_head() and self._head_timer is None and not self.transport.is_closing():
            self._start_head_timer()  # the head of a further request on the same connection has begun

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._write_timer, self._next_request):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write: it has `write_timeout_s` to catch up."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer has read."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def on_response_complete(self) -> None:
        """Go on with the connection; a pipelined request waits, and nothing more is read until its turn."""
        if not self.conn.trailing_data[0] or self.transport.is_closing():
            super().on_response_complete()
        else:
            self._next_request = self.loop.call_later(PIPELINE_DELAY_S, super().on_response_complete)

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, with a problem document where no response has begun."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self._response_started():
            self.transport.abort()
            return
        problem = {
            "type": f"{TYPE_PREFIX}http",
            "title": "Bad Request",
            "status": 400,
            "detail": self.conn.refusal or msg,
            "instance": "",
            "remedy": self.conn.remedy,
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

    def _adapt_read_size(self, seconds: float) -> None:
        """Read more at a time while that is cheap to parse, less when it is not."""
        size: int = self.transport.max_size  # type: ignore[attr-defined]
        size = size * 2 if seconds < PARSE_BUDGET_S / 2 else size // 2 if seconds > PARSE_BUDGET_S else size
        self.transport.max_size = min(MAX_READ_BYTES, max(FIRST_READ_BYTES // 4, size))  # type: ignore[attr-defined]

    def _response_started(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _waits_for_head(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_timed_out)

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if (
            self._waits_for_head()
            and self.timeout_keep_alive_task is None
            and not self.transport.is_closing()
        ):
            self.transport.close()


class _ChunkLimitedConnection(h11.Connection):
    """Refuses a body whose pieces are tiny on average: each costs as much to parse as a large one."""

    refusal = ""
    remedy = "Send HTTP/1.1 as RFC 9112 has it."
    _num_pieces = 0
    _num_bytes = 0

    def next_event(self) -> Any:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                self.refusal = f"The head of the request is larger than {HEAD_BYTES // 1024} kB."
                self.remedy = "Send fewer or shorter headers, or a shorter address."
            raise
        if isinstance(event, h11.Data):
            self._num_pieces += 1
            self._num_bytes += len(event.data)
            if (
                self._num_pieces > MAX_SMALL_PIECES
                and self._num_bytes < self._num_pieces * MIN_MEAN_PIECE_BYTES
            ):
                self.refusal = "The body comes in chunks that are too small."
                self.remedy = "Send it in larger chunks."
                raise h11.RemoteProtocolError(self.refusal)
        elif isinstance(event, h11.Request):
            self._num_pieces = self._num_bytes = 0
        return event


def protocol_with(*, head_timeout_s: float, write_timeout_s: float) -> type[H11Protocol]:
    """The protocol class for a server with these limits."""
    limits = {"head_timeout_s": head_timeout_s, "write_timeout_s": write_timeout_s}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
