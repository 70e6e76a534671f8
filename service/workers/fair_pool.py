"""A pool of worker processes that owners share fairly, and that drops work which is no longer wanted."""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

ResultT = TypeVar("ResultT")
Start = Callable[[float, Callable[..., Any], tuple[Any, ...]], "Future[ResultT]"]


class TaskFuture(Future[ResultT]):
    """The future of a task that may still be waiting. Cancelling it drops the task or ends its process."""

    begun: Future[ResultT] | None = None

    def cancel(self) -> bool:
        """Drop the task; False when it is finished already."""
        cancelled = super().cancel()
        if cancelled and self.begun is not None:
            self.begun.cancel()
        return cancelled

    def running(self) -> bool:
        """True while a process is at it."""
        return self.begun is not None and self.begun.running()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task(Generic[ResultT]):
    owner: str
    timeout_s: float
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    future: TaskFuture[ResultT]


class FairPool(Generic[ResultT]):
    """Starts waiting tasks owner by owner in turn, never more at a time than there are processes.

    Where there are several processes one owner gets all but one of them, so that no other waits for his tasks to end.
    All state is changed in one thread, that of `executor`; `start` is called there too.
    """

    def __init__(self, executor: ThreadPoolExecutor, start: Start[ResultT], *, num_workers: int) -> None:
        self._executor = executor
        self._start = start
        self._num_workers = num_workers
        self._waiting: OrderedDict[str, deque[_Task[ResultT]]] = (
            OrderedDict()
        )  # by owner, whose turn is next first
        self._running: list[_Task[ResultT]] = []

    def submit(
        self, owner: str, timeout_s: float, work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> TaskFuture[ResultT]:
        """Have work done when it is the owner's turn."""
        future: TaskFuture[ResultT] = TaskFuture()
        task = _Task(owner=owner, timeout_s=timeout_s, work=work, arguments=arguments, future=future)
        self._executor.submit(self._enqueue, task)
        return future

    def drop_waiting(self) -> None:
        """Cancel what has not begun; to be called in the executor's thread."""
        for task in (task for tasks in self._waiting.values() for task in tasks):
            task.future.cancel()
        self._waiting.clear()

    def _enqueue(self, task: _Task[ResultT]) -> None:
        self._waiting.setdefault(task.owner, deque()).append(task)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while len(self._running) < self._num_workers:
            task = self._next()
            if task is None:
                return
            self._begin(task)

    def _next(self) -> _Task[ResultT] | None:
        """The next task whose owner may start one; the owner then goes to the end of the line."""
        most = max(1, self._num_workers - 1)
        for owner in list(self._waiting):
            tasks = self._waiting[owner]
            while tasks and tasks[0].future.cancelled():
                tasks.popleft()
            if not tasks:
                del self._waiting[owner]
            elif sum(task.owner == owner for task in self._running) < most:
                self._waiting.move_to_end(owner)
                return tasks.popleft()
        return None

    def _begin(self, task: _Task[ResultT]) -> None:
        self._running.append(task)
        try:
            begun = self._start(task.timeout_s, task.work, task.arguments)
        except Exception as error:
            self._running.remove(task)
            task.future.set_exception(error)
            return
        task.future.begun = begun
        if task.future.cancelled():  # in this very moment
            begun.cancel()
        begun.add_done_callback(lambda done: self._done(task, done))

    def _done(self, task: _Task[ResultT], done: Future[ResultT]) -> None:
        """Called in the thread in which the task ended."""
        with contextlib.suppress(RuntimeError):  # the pools are being closed
            self._executor.submit(self._make_room, task)
        with contextlib.suppress(InvalidStateError):  # cancelled meanwhile
            if done.cancelled():
                task.future.cancel()
            elif (error := done.exception()) is not None:
                task.future.set_exception(error)
            else:
                task.future.set_result(done.result())

    def _make_room(self, task: _Task[ResultT]) -> None:
        self._running.remove(task)
        self._start_waiting()
