"""Waiting for a worker's task on behalf of a client that may go away."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from service.workers.pools import TaskResult

T = TypeVar("T")

LOOK_EVERY_S = 1.0


async def finished(request: Request, future: Future[TaskResult[T]]) -> None:
    """Return once the task is finished; when the client has left, drop the task and raise ClientDisconnect."""
    watched = asyncio.wrap_future(future)
    while not (await asyncio.wait([watched], timeout=LOOK_EVERY_S))[0]:
        if await request.is_disconnected():
            future.cancel()
            raise ClientDisconnect
    if not watched.cancelled():
        watched.exception()  # retrieved: `task_result` raises it
