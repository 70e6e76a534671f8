"""Server-sent event streams from the store; resumed by Last-Event-ID, with one poll of the store per topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from recommender.errors import StorageError
from service.metrics import Metrics
from service.problems import HTTPProblem

POLL_S = 0.3
PING_S = 15.0
RETRY_MS = 2000


@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """One event of a stream; a `last` one ends it."""

    seq: int
    kind: str
    data: str  # JSON
    last: bool = False


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

    def check_limit(self, owner: str) -> None:
        """Raise HTTPProblem 503 when too many streams are open."""
        total, own = sum(self._of_owner.values()), self._of_owner.get(owner, 0)
        if total >= self._max_followers or own >= self._max_per_owner or self._closing:
            raise HTTPProblem(
                503, "too-many-followers", "Too many event streams are open.", headers={"Retry-After": "10"}
            )

    async def follow(self, owner: str, topic: str, fetch: Fetch, after: int) -> AsyncIterator[bytes]:
        """The events behind number `after` as they come, in the wire format, until the last one."""
        self._of_owner[owner] = self._of_owner.get(owner, 0) + 1
        self._metrics.followers.inc()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            with self._polling(topic, fetch, after) as poll:
                async for chunk in self._events(poll, fetch, after):
                    yield chunk
        finally:
            self._metrics.followers.dec()
            self._of_owner[owner] -= 1
            if not self._of_owner[owner]:
                del self._of_owner[owner]

    async def _events(self, poll: _TopicPoll, fetch: Fetch, after: int) -> AsyncIterator[bytes]:
        while not self._closing:
            changed = poll.changed  # before looking: what comes meanwhile wakes us at once
            try:
                items = await run_in_threadpool(fetch, after)
            except StorageError:
                items = ()
            for item in items:
                yield format_sse_event(data_str=item.data, event=item.kind, id=str(item.seq))
                after = item.seq
                if item.last:
                    return
            if not items:
                try:
                    await asyncio.wait_for(changed.wait(), PING_S)
                except TimeoutError:
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
