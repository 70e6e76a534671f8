"""Worker processes die, and those who asked for them end; the service has them again."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import psutil
import pytest

from recommender.errors import UnavailableError, UsageError
from service.workers.pools import TaskResult, WorkerPools, task_result
from tests.service.kit import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # processes that have to start or die within seconds


@pytest.fixture
def pools() -> Iterator[WorkerPools]:
    made = WorkerPools(recommendation_workers=1)
    yield made
    made.close()


def pid_of(pools: WorkerPools) -> int:
    return int(task_result(pools.submit_recommendation(60, os.getpid)))


def test_a_worker_outlives_the_thread_that_asked_for_it_first(pools: WorkerPools) -> None:
    """A thread of the server ends after ten idle seconds; Linux would end the processes it started with it."""
    found: list[int] = []
    asking = threading.Thread(target=lambda: found.append(pid_of(pools)))
    asking.start()
    asking.join()
    time.sleep(0.3)
    assert psutil.pid_exists(found[0])
    assert pid_of(pools) == found[0]


def test_a_worker_killed_while_it_idles_is_replaced(pools: WorkerPools) -> None:
    first = pid_of(pools)
    for _ in range(2):
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not pools._recommendation_pool._pool.active, 10)
        second = pid_of(pools)
        assert second != first
        first = second


def test_work_whose_process_dies_is_told_so_and_the_next_is_done(pools: WorkerPools) -> None:
    pid = pid_of(pools)
    under_way = pools.submit_recommendation(60, time.sleep, 60)
    wait_until(under_way.running, 10)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UnavailableError, match="process that did the work died"):
        task_result(under_way)
    assert pid_of(pools) != pid


def test_what_a_broken_pool_never_began_is_told_too(pools: WorkerPools) -> None:
    pid_of(pools)
    lost: Future[TaskResult[int]] = Future()
    pools._recommendation_pool._pending.add(lost)
    pools._starter.submit(pools._recommendation_pool._replace).result()
    with pytest.raises(UnavailableError, match="died"):
        task_result(lost)


def test_work_that_takes_too_long_is_ended(pools: WorkerPools) -> None:
    pid = pid_of(pools)
    with pytest.raises(UsageError, match="longer than the service allows"):
        task_result(pools.submit_recommendation(0.2, time.sleep, 60))
    wait_until(lambda: not psutil.pid_exists(pid), 10)


@pytest.mark.parametrize("kind", ["read", "inspection"])
def test_each_kind_of_work_recovers(pools: WorkerPools, kind: str) -> None:
    submit: Callable[..., Future[TaskResult[int]]] = getattr(pools, f"submit_{kind}")
    os.kill(int(task_result(submit("ada", 60, os.getpid))), signal.SIGKILL)
    time.sleep(0.5)
    assert int(task_result(submit("ada", 60, os.getpid)))


@pytest.mark.parametrize("kind", ["read", "inspection"])
def test_one_owners_work_does_not_hold_up_another(pools: WorkerPools, kind: str) -> None:
    submit: Callable[..., Future[TaskResult[int]]] = getattr(pools, f"submit_{kind}")
    slow = [submit("ada", 60, time.sleep, 30) for _ in range(4)]
    assert int(task_result(submit("bob", 60, os.getpid)))
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()


def test_cancelled_work_is_dropped_and_its_process_ended(pools: WorkerPools) -> None:
    began, waits = (pools.submit_read("ada", 60, time.sleep, 60) for _ in range(2))
    wait_until(began.running, 20)
    assert not waits.running()
    assert waits.cancel()
    assert began.cancel()
    assert int(task_result(pools.submit_read("ada", 60, os.getpid)))  # at once, and not after a minute
