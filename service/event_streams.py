"""Server-sent event streams from the store; resumed by Last-Event-ID, with one poll of the store per topic."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from recommender.errors import StorageError
from service.metrics import Metrics
from service.problems import problem_response

POLL_S = 0.3
PING_S = 15.0
RECHECK_S = 5.0  # whether the follower's key is still in force
RETRY_MS = 2000


@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """One event of a stream; a `last` one ends it."""

    seq: int
    kind: str
    data: str  # JSON
    last: bool = False


Allowed = Callable[[], bool]
Fetch = Callable[
    [int], Sequence[StreamEvent]
]  # the events behind a number, in order, perhaps not all at once


class _TopicPoll:
    """Polls the store for one topic and wakes all its followers."""

    def __init__(self, fetch: Fetch, seq: int) -> None:
        self.followers = 0
        self.seq = seq
        self.changed = asyncio.Event()
        self.task = asyncio.create_task(self._poll(fetch))

    async def _poll(self, fetch: Fetch) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            with contextlib.suppress(StorageError):  # away for a moment: ask again
                items = await run_in_threadpool(fetch, self.seq)
                if items:
                    self.seq = items[-1].seq
                    self.changed.set()
                    self.changed = asyncio.Event()


class EventStreams:
    """All open event streams. To be used from the event loop only."""

    def __init__(self, metrics: Metrics, *, max_followers: int) -> None:
        self._metrics = metrics
        self._max_followers = max_followers
        self._max_per_owner = max(10, max_followers // 4)
        self._polls: dict[str, _TopicPoll] = {}
        self._of_owner: dict[str, int] = {}
        self._closing = False

    def close(self) -> None:
        """End every stream, for the shutdown would wait for them."""
        self._closing = True
        for poll in self._polls.values():
            poll.changed.set()

    def response(self, owner: str, topic: str, fetch: Fetch, after: int, *, allowed: Allowed) -> Response:
        """The events behind number `after` as they come, until the last one; 503 where too many streams are open.

        `allowed` is asked every few seconds; the stream ends when it says no.
        """
        return _CountedResponse(self, owner, self._follow(topic, fetch, after, allowed))

    def enter(self, owner: str) -> bool:
        """Count a stream in; False where there are too many. Who is counted in must `leave`."""
        total, own = sum(self._of_owner.values()), self._of_owner.get(owner, 0)
        if total >= self._max_followers or own >= self._max_per_owner or self._closing:
            return False
        self._of_owner[owner] = own + 1
        self._metrics.followers.inc()
        return True

    def leave(self, owner: str) -> None:
        """Count a stream out."""
        self._metrics.followers.dec()
        self._of_owner[owner] -= 1
        if not self._of_owner[owner]:
            del self._of_owner[owner]

    async def _follow(
        self, topic: str, fetch: Fetch, after: int, allowed: Allowed
    ) -> AsyncGenerator[bytes, None]:
        """The stream in the wire format."""
        yield f"retry: {RETRY_MS}\n\n".encode()
        with self._polling(topic, fetch, after) as poll:
            said_s = asked_s = time.monotonic()
            while not self._closing:
                changed = poll.changed  # before looking: what comes meanwhile wakes us at once
                if time.monotonic() - asked_s > RECHECK_S:
                    asked_s = time.monotonic()
                    if not await run_in_threadpool(allowed):
                        return
                items = await _fetched(fetch, after)
                for item in items:
                    yield format_sse_event(data_str=item.data, event=item.kind, id=str(item.seq))
                    after, said_s = item.seq, time.monotonic()
                    if item.last:
                        return
                if not items:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), RECHECK_S)
                if time.monotonic() - said_s > PING_S:
                    said_s = time.monotonic()
                    yield KEEPALIVE_COMMENT

    @contextlib.contextmanager
    def _polling(self, topic: str, fetch: Fetch, after: int) -> Iterator[_TopicPoll]:
        poll = self._polls.get(topic)
        if poll is None:
            poll = self._polls[topic] = _TopicPoll(fetch, after)
        poll.followers += 1
        try:
            yield poll
        finally:
            poll.followers -= 1
            if not poll.followers:
                poll.task.cancel()
                if self._polls.get(topic) is poll:
                    del self._polls[topic]


class _CountedResponse(EventSourceResponse):
    """A stream that counts from its first byte to its last, whatever ends it."""

    def __init__(self, streams: EventStreams, owner: str, content: AsyncGenerator[bytes, None]) -> None:
        super().__init__(content, headers={"X-Accel-Buffering": "no"})  # nginx would hold events back
        self._streams = streams
        self._owner = owner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._streams.enter(self._owner):
            response = problem_response(
                scope,
                503,
                "too-many-followers",
                "Too many event streams are open.",
                remedy="Wait for one to end, or ask for the status now and then.",
                headers={"Retry-After": "10"},
            )
            await response(scope, receive, send)
            return
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.leave(self._owner)


async def _fetched(fetch: Fetch, after: int) -> Sequence[StreamEvent]:
    """The events in the store; none while it cannot be reached for a moment."""
    try:
        return await run_in_threadpool(fetch, after)
    except StorageError:
        return ()
