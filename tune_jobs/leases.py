"""Leases on jobs, decided without comparing clocks.

A holder adds one to the lease's beat now and then. Who wants the job watches the beat on a clock of their own that
only moves forward: if it has not changed for the whole time to live, the holder is gone. A wall clock that jumps,
or another machine's, plays no part.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from recommender.errors import StorageError
from recommender.records import Lease

TTL_S = 15.0


class LeaseTable(Protocol):
    """The two calls of a repository of the store that leases need; safe from several threads."""

    def take_lease(self, id: str, *, seen: Lease, holder: str) -> bool:
        """Take the lease if it is still as seen."""

    def renew_lease(self, id: str, *, holder: str) -> bool:
        """Show that the holder lives; False when it is not the holder any more."""


class Leases:
    """The leases one launcher holds, and those it watches. One thread at a time, save for `keeping`."""

    def __init__(
        self,
        table: LeaseTable,
        holder: str,
        *,
        ttl_s: float = TTL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._holder = holder
        self._ttl_s = ttl_s
        self._clock = clock
        self._watched: dict[str, tuple[Lease, float]] = {}  # what was seen, and since when
        self._renewed: dict[str, float] = {}

    def holds(self, id: str, lease: Lease) -> bool:
        """True if this launcher looks after the job, whose lease was just read; takes over from the dead."""
        now = self._clock()
        if lease.holder == self._holder:
            if now - self._renewed.get(id, float("-inf")) < self._ttl_s / 3:
                return True
            return self._note(id, self._table.renew_lease(id, holder=self._holder))
        seen, since = self._watched.get(id, (None, now))
        if seen != lease:
            self._watched[id] = (lease, now)
            since = now
        if lease.holder and now - since < self._ttl_s:
            return False
        self._watched.pop(id, None)
        return self._note(id, self._table.take_lease(id, seen=lease, holder=self._holder))

    def forget(self, ids: set[str]) -> None:
        """Drop what is remembered of jobs other than these."""
        for table in (self._watched, self._renewed):
            for id in table.keys() - ids:
                del table[id]

    @contextmanager
    def keeping(self, id: str) -> Iterator[None]:
        """Renew the lease in the background while something takes long."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._ttl_s / 3):
                try:
                    if not self._table.renew_lease(id, holder=self._holder):
                        return
                except StorageError:
                    continue  # the next beat may reach it; the work itself will say so if not

        thread = threading.Thread(target=beat, name=f"lease-{id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _note(self, id: str, held: bool) -> bool:
        if held:
            self._renewed[id] = self._clock()
        else:
            self._renewed.pop(id, None)
        return held
