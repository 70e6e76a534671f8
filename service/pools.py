"""Worker processes: whatever takes longer than a request should runs here, and cannot take the service down."""

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
from typing import Any

from pebble import ProcessExpired, ProcessPool

from recommender import errors
from recommender.errors import UnavailableError, UsageError
from service.logs import where

_ERRORS: dict[str, type[errors.RecommenderError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.RecommenderError)
}
_PR_SET_PDEATHSIG = 1
_TASKS_PER_WORKER = 200  # then a fresh process: whatever a library leaks is given back


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a piece of work."""

    result: Any = None
    error: str | None = None  # the name of a class in recommender.errors, or "unexpected"
    message: str = ""
    remedy: str | None = None


class Pools:
    """Three pools, so that reading an upload never waits behind an inspection, nor that behind an answer."""

    def __init__(self, *, answer_workers: int) -> None:
        # A worker ends with the *thread* that started it, and those that serve requests come and go.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="pools")
        self._reading = _Workers(1)
        self._examining = _Workers(1)
        self._answering = _Workers(answer_workers)

    def read(self, timeout_s: float, work: Callable[..., Any], *arguments: Any) -> Future[Outcome]:
        """Work that a request waits for: reading an upload, registering a checkpoint."""
        return self._starter.submit(self._reading.schedule, timeout_s, work, arguments).result()

    def examine(self, timeout_s: float, work: Callable[..., Any], *arguments: Any) -> Future[Outcome]:
        """Work that nobody waits for: the health of a data set."""
        return self._starter.submit(self._examining.schedule, timeout_s, work, arguments).result()

    def answer(self, timeout_s: float, work: Callable[..., Any], *arguments: Any) -> Future[Outcome]:
        """Answers to questions. Cancelling the future ends the process."""
        return self._starter.submit(self._answering.schedule, timeout_s, work, arguments).result()

    def close(self) -> None:
        """End every worker now; what they were doing is lost here and taken up again by whoever leases it."""
        for workers in (self._reading, self._examining, self._answering):
            self._starter.submit(workers.stop).result()
        self._starter.shutdown()


class _Workers:
    """A pool of pebble's that is replaced when it breaks. To be called from one thread.

    Pebble gives a pool up for good when a process dies that has nothing to do, as the kernel's memory killer may
    well choose: whatever is asked of it afterwards fails.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool = _pool(number)
        self._waited_for: set[Future[Outcome]] = set()

    def schedule(
        self, timeout_s: float, work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> Future[Outcome]:
        """Have work done; the future fails with BrokenProcessPool when the pool breaks under it."""
        if not self._pool.active:
            self._replace()
        future: Future[Outcome] = self._pool.schedule(
            _carried_out, args=[work, *arguments], timeout=timeout_s
        )
        self._waited_for.add(future)
        future.add_done_callback(self._waited_for.discard)
        if not self._pool.active:  # it broke this moment: nobody else would tell
            self._replace()
        return future

    def stop(self) -> None:
        """End the processes."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _replace(self) -> None:
        self.stop()
        for future in tuple(self._waited_for):
            with contextlib.suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool("The pool broke before the work was begun."))
        self._pool = _pool(self._number)


def result_of(future: Future[Outcome]) -> Any:
    """The result of a finished future, or what went wrong as an error of ours."""
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
        return outcome.result
    if outcome.error in _ERRORS:
        raise _ERRORS[outcome.error](outcome.message, remedy=outcome.remedy)
    raise WorkerError(outcome.message)


class WorkerError(Exception):
    """Something unexpected in a worker; its text says where, and nothing else."""


def _carried_out(work: Callable[..., Any], *arguments: Any) -> Outcome:
    """In the worker. Errors travel as text: exceptions of libraries do not survive pickling."""
    try:
        return Outcome(result=work(*arguments))
    except errors.RecommenderError as error:
        known = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _ERRORS)
        return Outcome(error=known, message=error.message, remedy=error.remedy)
    except Exception as error:
        return Outcome(error="unexpected", message=where(error))


def _pool(workers: int) -> ProcessPool:
    # Spawned, not forked: the service has threads, and torch does not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPool(
        workers, max_tasks=_TASKS_PER_WORKER, initializer=_begin, initargs=[os.getpid()], context=context
    )


def _begin(parent: int) -> None:
    """In the worker: end with the service even when that is killed, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(ctypes, "CDLL") and os.uname().sysname == "Linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died while we were being started
        os._exit(1)
