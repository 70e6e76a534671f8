"""Pools of worker processes for work that is too long, or too dangerous, for the server's own process."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, TypeVarTuple, cast

from pebble import ProcessExpired, ProcessPool

from recommender import errors
from recommender.errors import UnavailableError, UsageError
from service.logs import where
from service.workers.fair_pool import FairPool
from service.workers.memory import is_out_of_memory, task_memory

_ERRORS: dict[str, type[errors.RecommenderError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.RecommenderError)
}
T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")
_PR_SET_PDEATHSIG = 1
_TASKS_PER_WORKER = 200  # then a fresh process: whatever a library leaks is given back


@dataclass(frozen=True, kw_only=True)
class TaskResult(Generic[T]):
    """Result or error of a task."""

    result: T | None = None
    error: str | None = None  # the name of a class in recommender.errors, or "unexpected"
    message: str = ""
    remedy: str | None = None


class WorkerPools:
    """Three pools: uploads, inspections and recommendations do not wait for each other, nor owners for each other.

    `task_memory_mb` is what one task may allocate; None sets no limit.
    """

    def __init__(self, *, recommendation_workers: int, task_memory_mb: int | None = None) -> None:
        # A worker ends with the *thread* that started it, and those that serve requests come and go.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="pools")
        self._read_pool = _RestartingPool(2, task_memory_mb)
        self._inspection_pool = _RestartingPool(2, task_memory_mb)
        self._recommendation_pool = _RestartingPool(recommendation_workers, task_memory_mb)
        self._reads = FairPool(self._starter, self._read_pool.schedule, num_workers=2)
        self._inspections = FairPool(self._starter, self._inspection_pool.schedule, num_workers=2)

    def submit_read(
        self, owner: str, timeout_s: float, work: Callable[[*Arguments], T], *arguments: *Arguments
    ) -> Future[TaskResult[T]]:
        """Schedule work that a request waits for: reading an upload. Cancelling the future drops or ends it."""
        return self._reads.submit(owner, timeout_s, work, arguments)

    def submit_inspection(
        self, owner: str, timeout_s: float, work: Callable[[*Arguments], T], *arguments: *Arguments
    ) -> Future[TaskResult[T]]:
        """Schedule slower work: inspections and imports of checkpoints. Cancelling the future drops or ends it."""
        return self._inspections.submit(owner, timeout_s, work, arguments)

    def submit_recommendation(
        self, timeout_s: float, work: Callable[[*Arguments], T], *arguments: *Arguments
    ) -> Future[TaskResult[T]]:
        """Schedule a recommendation. Cancelling the future ends the process."""
        return self._starter.submit(self._recommendation_pool.schedule, timeout_s, work, arguments).result()

    def close(self) -> None:
        """End every worker process now. Leased recommendations are requeued by the queue."""
        for waiting in (self._reads, self._inspections):
            self._starter.submit(waiting.drop_waiting).result()
        for workers in (self._read_pool, self._inspection_pool, self._recommendation_pool):
            self._starter.submit(workers.stop).result()
        self._starter.shutdown()


class _RestartingPool:
    """A pebble pool that is replaced when it breaks. To be called from one thread.

    Pebble gives a pool up for good when a process dies that has nothing to do, as the kernel's memory killer may
    well choose: whatever is asked of it afterwards fails.
    """

    def __init__(self, number: int, task_memory_mb: int | None) -> None:
        self._number = number
        self._task_memory_mb = task_memory_mb
        self._pool = _pool(number)
        self._pending: set[Future[TaskResult[Any]]] = set()

    def schedule(
        self, timeout_s: float, work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Future[TaskResult[Any]]:
        """Schedule work; the future fails with BrokenProcessPool when the pool breaks first."""
        if not self._pool.active:
            self._replace()
        future: Future[TaskResult[Any]] = self._pool.schedule(
            _run_task, args=[self._task_memory_mb, work, *arguments], timeout=timeout_s
        )
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        if not self._pool.active:  # it broke this moment: nobody else would tell
            self._replace()
        return future

    def stop(self) -> None:
        """End the processes."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _replace(self) -> None:
        self.stop()
        for future in tuple(self._pending):
            with contextlib.suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool("The pool broke before the work was begun."))
        self._pool = _pool(self._number)


def task_result(future: Future[TaskResult[T]]) -> T:
    """The result of a finished future. Raises RecommenderError, or WorkerError for anything unexpected."""
    try:
        outcome = future.result()
    except TimeoutError as error:
        raise UsageError(
            "The work took longer than the service allows.",
            remedy="Use a smaller data set, or ask the operator.",
        ) from error
    except (ProcessExpired, BrokenProcessPool) as error:
        raise UnavailableError(
            "The process that did the work died, perhaps of memory.",
            remedy="Try again, or ask the operator.",
        ) from error
    if outcome.error is None:
        return cast(T, outcome.result)  # which may be None by itself
    if outcome.error in _ERRORS:
        raise _ERRORS[outcome.error](outcome.message, remedy=outcome.remedy)
    raise WorkerError(outcome.message)


class WorkerError(Exception):
    """Something unexpected in a worker; the message names the functions it happened in."""


def _run_task(
    memory_mb: int | None, work: Callable[[*Arguments], T], *arguments: *Arguments
) -> TaskResult[T]:
    """The result of a task, in the worker. Errors travel as text: exceptions of libraries do not survive pickling."""
    try:
        with task_memory(memory_mb):
            return TaskResult(result=work(*arguments))
    except Exception as error:
        if is_out_of_memory(error):
            return _refused_for_memory(memory_mb)
        if isinstance(error, errors.RecommenderError):
            known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
            return TaskResult(error=known, message=error.message, remedy=error.remedy)
        return TaskResult(error="unexpected", message=where(error))


def _refused_for_memory(memory_mb: int | None) -> TaskResult[Any]:
    return TaskResult(
        error=errors.UnsafeInputError.__name__,
        message=f"The work needs more than the {memory_mb} MB of memory that one task may take.",
        remedy="Use smaller pictures or fewer at once, or ask the operator for a higher "
        "RECOMMENDER_SERVICE_TASK_MEMORY_MB.",
    )


def _pool(workers: int) -> ProcessPool:
    # Spawned, not forked: the service has threads, and torch does not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPool(
        workers,
        max_tasks=_TASKS_PER_WORKER,
        initializer=_initialise_worker,
        initargs=[os.getpid()],
        context=context,
    )


def _initialise_worker(parent: int) -> None:
    """Prepare a worker: end with the service even when that is killed, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(ctypes, "CDLL") and os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died while we were being started
        os._exit(1)
