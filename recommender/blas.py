"""Threads of BLAS and torch, the cores there are, and memory that is used again.

A sum split over threads adds up in another order, so its last bits depend on the number of cores, and matrices of a
few hundred rows are slower on many threads than on one.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
LARGE_ARRAY = 2**25  # bytes; the most that glibc takes as a threshold

_ASKED = os.environ.get("OMP_NUM_THREADS", "")
_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


@contextmanager
def single_blas_thread() -> Iterator[None]:
    """Limit the BLAS libraries of this process to one thread until the last of all users has left.

    The limit is the process's, not the thread's: it is lifted only when nobody is inside any more. Libraries loaded
    inside are not limited, so import them before. Also usable as a decorator.
    """
    global _users, _limits
    with _lock:
        _users += 1
        if _users == 1:
            _limits = threadpool_limits(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _limits is not None:
                _limits.restore_original_limits()
                _limits = None


def available_threads() -> int:
    """The number of cores this process may run on, or fewer where OMP_NUM_THREADS said so when it began.

    torch's own number does not tell: torch shares its OpenMP library with FAISS, which is set to one thread. Nor does
    the variable later on: importing ultralytics sets it to 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(_ASKED)) if _ASKED.isdigit() and int(_ASKED) else cores


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Let torch use so many threads from this one, and as many as before at the end."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_workers(name: str, number: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, each with one of torch's, so that no sum depends on their number.

    At the end what has not begun is dropped, and what has is waited for.
    """
    import torch

    # In a worker this sets its own number of torch's threads, and the default of threads yet to come.
    pool = ThreadPoolExecutor(number, name, initializer=torch.set_num_threads, initargs=(1,))
    with torch_threads(torch.get_num_threads()):
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def keep_freed_memory() -> None:
    """Let this process use the memory of freed arrays again, instead of asking the system anew for each.

    For commands that make and free matrices of some MB by the thousand, and then end: the memory is not given back
    before. Does nothing without glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_ARRAY)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
