"""Event streams: server-sent events from the store, resumed by Last-Event-ID, shared polling per topic."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.concurrency import run_in_threadpool

from recommender.errors import StorageError
from service.metrics import Metrics
from service.problems import Refusal

POLL_S = 0.3
PING_S = 15.0
RETRY_MS = 2000


@dataclass(frozen=True, kw_only=True)
class Item:
    """One event as a follower gets it. Nothing follows a `last` one."""

    seq: int
    kind: str
    data: str  # JSON
    last: bool = False


Fetch = Callable[[int], Sequence[Item]]  # the events behind a number, in order, perhaps not all at once


class _Watch:
    """One topic that somebody follows: a single poll of the store wakes them all."""

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


class Feeds:
    """Everybody who follows something. Belongs to the event loop."""

    def __init__(self, metrics: Metrics, *, most: int) -> None:
        self._metrics = metrics
        self._most = most
        self._most_of_one = max(10, most // 4)
        self._watches: dict[str, _Watch] = {}
        self._of_owner: dict[str, int] = {}
        self._closing = False

    def close(self) -> None:
        """End every stream; the service is shutting down and would wait for them."""
        self._closing = True
        for watch in self._watches.values():
            watch.changed.set()

    def admit(self, owner: str) -> None:
        """Raise Refusal where there are too many followers already."""
        total, own = sum(self._of_owner.values()), self._of_owner.get(owner, 0)
        if total >= self._most or own >= self._most_of_one or self._closing:
            raise Refusal(
                503, "too-many-followers", "Too many event streams are open.", headers={"Retry-After": "10"}
            )

    async def follow(self, owner: str, topic: str, fetch: Fetch, after: int) -> AsyncIterator[bytes]:
        """The events behind number `after` as they come, in the wire format, until the last one."""
        self._of_owner[owner] = self._of_owner.get(owner, 0) + 1
        self._metrics.followers.inc()
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            with self._watching(topic, fetch, after) as watch:
                async for chunk in self._events(watch, fetch, after):
                    yield chunk
        finally:
            self._metrics.followers.dec()
            self._of_owner[owner] -= 1
            if not self._of_owner[owner]:
                del self._of_owner[owner]

    async def _events(self, watch: _Watch, fetch: Fetch, after: int) -> AsyncIterator[bytes]:
        while not self._closing:
            changed = watch.changed  # before looking: what comes meanwhile wakes us at once
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
    def _watching(self, topic: str, fetch: Fetch, after: int) -> Iterator[_Watch]:
        watch = self._watches.get(topic)
        if watch is None:
            watch = self._watches[topic] = _Watch(fetch, after)
        watch.followers += 1
        try:
            yield watch
        finally:
            watch.followers -= 1
            if not watch.followers:
                watch.task.cancel()
                if self._watches.get(topic) is watch:
                    del self._watches[topic]
