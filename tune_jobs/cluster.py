"""The Ray cluster: a local one for the occasion, or the user's; its token, its resources."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import psutil

from recommender.errors import UnavailableError, UsageError
from recommender.home import home
from recommender.text import counted
from tune_jobs.address_space import require_address_space
from tune_jobs.head_security import (
    ensure_token,
    host_and_port,
    is_open,
    require_entrance,
    require_head,
    require_token,
)
from tune_jobs.local_environment import (
    OBJECT_STORE_BYTES,
    QUIET_VARIABLES,
    absolute_paths,
    environment,
    loopback_only,
    ray_folder,
    require_short_temp_folder,
)

MAX_THREADS_PER_TRIAL = 8  # of a small detector: more threads bring little
START_ATTEMPTS = 3
TOO_SLOW = "timed out during startup"
SERVER_TOO_SLOW = "Initialization failure from server"
MAX_REASON = 500  # characters of what Ray says


@dataclass(frozen=True, kw_only=True)
class Node:
    """One live node and what it offers in all."""

    id: str
    cpus: float
    gpus: float


@dataclass(frozen=True, kw_only=True)
class TrialResources:
    """The resources of one trial, and the number of trials that fit at a time."""

    cpus: float
    gpus: float
    num_threads: int
    num_slots: int

    @property
    def device(self) -> Literal["gpu", "cpu"]:
        """The unit of the cost."""
        return "gpu" if self.gpus else "cpu"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A connection to Ray. Valid inside `connect` only."""

    address: str
    is_local: bool  # started by us, ends with us
    node_id: str | None  # the node this process is on; None at ray://

    def nodes(self) -> tuple[Node, ...]:
        """The live nodes."""
        import ray

        return tuple(
            Node(
                id=node["NodeID"],
                cpus=node["Resources"].get("CPU", 0.0),
                gpus=node["Resources"].get("GPU", 0.0),
            )
            for node in ray.nodes()
            if node["Alive"]
        )


@contextlib.contextmanager
def connect(
    address: str | None = None, *, num_cpus: int | None = None, allow_loopback: bool = True
) -> Iterator[Cluster]:
    """Connect to Ray and leave it again; a process that is connected already stays so.

    `address` None starts a local cluster, on one machine and with a token of its own, unless RAY_ADDRESS names
    one (so it is inside `ray job submit`); else `auto`, `host:port` of the head, or `ray://host:port`. With
    `allow_loopback` a head at a loopback address need not ask for a token.

    Raises:
        UnavailableError: nothing answers there, the token is missing or wrong, or the head runs anybody's
            code because it asks for no token.
    """
    import ray

    if ray.is_initialized():
        with _no_messages_of_ray():
            yield _describe("this process's", is_local=False)
        return
    wanted = address or os.environ.get("RAY_ADDRESS") or "local"
    with contextlib.ExitStack() as stack:
        stack.enter_context(environment(QUIET_VARIABLES))
        stack.enter_context(_no_messages_of_ray())
        stack.enter_context(environment(absolute_paths(), replacing=True))
        with contextlib.chdir(home()):  # workers load modules from here: elsewhere it may be a data set
            if wanted == "local":
                stack.enter_context(loopback_only())
                _start_local(num_cpus)
            else:
                _join(wanted, allow_loopback=allow_loopback)
        try:
            yield _describe(wanted, is_local=wanted == "local")
        finally:
            ray.shutdown()


def require_cluster(address: str | None) -> None:
    """Raise as `connect` would where `address` names no cluster that can be used, before any work is done for it."""
    if address not in (None, "local"):
        _require_usable(str(address), allow_loopback=True)


def require_address(address: str | None) -> None:
    """Raise UsageError where `address` can name no cluster; whether one answers there matters to new runs alone."""
    if address in (None, "local", "auto"):
        return
    if str(address).startswith(("http://", "https://")):
        raise UsageError(
            f"{address!r} is the address of a job server, which sweeps and trials do not take.",
            remedy="Give the head's host:port (often port 6379), ray://host:10001 from outside, or submit the "
            "command by `ray job submit` without an address.",
        )
    host_and_port(str(address))


def trial_resources(
    nodes: tuple[Node, ...],
    *,
    gpus_per_trial: float | None = None,
    cpus_per_trial: float | None = None,
    num_trials: int | None = None,
) -> TrialResources:
    """Divide a cluster into trials. Without numbers: a GPU each where there are any, else a CPU each, and more
    CPUs when there are fewer trials than CPUs.

    Raises UsageError when no node is large enough for one trial.
    """
    most_gpus = max((node.gpus for node in nodes), default=0.0)
    gpus = (1.0 if most_gpus else 0.0) if gpus_per_trial is None else gpus_per_trial
    if gpus > most_gpus:
        raise UsageError(
            f"Each trial asks for {counted(gpus, 'GPU')}, the largest node has {most_gpus:g}.",
            remedy="Lower --gpus-per-trial (0 trains on CPUs; 0.5 puts two trials on a GPU).",
        )
    useful = [node for node in nodes if node.gpus >= gpus and node.cpus >= 1.0]
    cpus = cpus_per_trial or _cpus_each(useful, gpus, num_trials)
    slots = sum(_fitting(node, cpus, gpus) for node in useful)
    if slots < 1:
        offers = (
            ", ".join(f"{counted(node.cpus, 'CPU')} and {counted(node.gpus, 'GPU')}" for node in nodes)
            or "nothing"
        )
        raise UsageError(
            f"No node has {counted(cpus, 'CPU')} and {counted(gpus, 'GPU')} for a trial; the nodes offer {offers}.",
            remedy="Ask for less, or start Ray with more: ray start --num-cpus N.",
        )
    return TrialResources(cpus=cpus, gpus=gpus, num_threads=max(1, int(cpus)), num_slots=slots)


def _start_local(num_cpus: int | None) -> None:
    ensure_token()
    require_short_temp_folder()
    require_address_space()
    for attempt in range(START_ATTEMPTS):
        ours = set(_children())
        try:
            _init_local(num_cpus)
            break
        except Exception as error:  # Ray raises bare Exceptions too
            for process in set(_children()) - ours:  # Ray would keep them until this process ends
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if TOO_SLOW in str(error) and attempt + 1 < START_ATTEMPTS:
                continue  # Ray gives a node half a minute, which a busy machine may need longer than
            raise UnavailableError(
                f"A local Ray cluster did not start: {_reason(error)}.",
                remedy=f"Look into {ray_folder()}/session_latest/logs, or start one by `ray start --head` and use "
                "--address auto.",
            ) from error
    _require_closed()


def _init_local(num_cpus: int | None) -> None:
    import ray

    ray.init(
        address="local",
        num_cpus=num_cpus,
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _require_closed() -> None:
    """End the cluster just started and raise UnavailableError if it runs code for whoever asks."""
    import ray

    if ray.is_initialized() and is_open(ray.get_runtime_context().gcs_address):
        ray.shutdown()
        raise UnavailableError(
            "The local Ray cluster asked for no token, and was ended: whoever reaches it could run code as you.",
            remedy="Unset the variables RAY_AUTH_*, or start one by `ray start --head` and use --address auto.",
        )


@contextlib.contextmanager
def _no_messages_of_ray() -> Iterator[None]:
    """Inside, Ray prints nothing about nodes that die: it would go to stdout, between the lines of an answer."""
    from ray._private import worker

    before = worker._worker_logs_enabled
    worker._worker_logs_enabled = False
    try:
        yield
    finally:
        worker._worker_logs_enabled = before


def _require_usable(address: str, *, allow_loopback: bool) -> str:
    """The head's address."""
    require_address(address)
    head = require_head(address)
    require_token(head, allow_loopback=allow_loopback)
    if not os.environ.get("RAY_USE_TLS"):
        require_entrance(head)
    return head


def _join(address: str, *, allow_loopback: bool) -> None:
    head = _require_usable(address, allow_loopback=allow_loopback)
    try:
        _init_joined(head)
    except Exception as error:  # connection, authentication, version: Ray has an error for each
        raise UnavailableError(
            f"The Ray cluster at {address!r} cannot be used: {_reason(error)}.",
            remedy="Check that it runs (`ray status`), has this Ray version, and that RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH are set as on its head.",
        ) from error


def _init_joined(address: str) -> Any:
    import ray

    for attempt in range(START_ATTEMPTS):
        try:
            return ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            # A ray:// head starts a process for each of its guests and gives up when a busy machine is slow at it.
            too_slow = SERVER_TOO_SLOW in str(error) and "mismatch" not in str(error).lower()
            if not too_slow or attempt + 1 == START_ATTEMPTS:
                raise
            ray.shutdown()
            time.sleep(1.0)
    raise AssertionError("unreachable")


def _describe(address: str, *, is_local: bool) -> Cluster:
    import ray

    is_client = bool(ray.util.client.ray.is_connected())
    return Cluster(
        address=address,
        is_local=is_local,
        node_id=None if is_client else ray.get_runtime_context().get_node_id(),
    )


def _cpus_each(nodes: list[Node], gpus: float, num_trials: int | None) -> float:
    if gpus:
        per_trial = min((node.cpus // max(1.0, node.gpus // gpus) for node in nodes), default=1.0)
    else:
        per_trial = sum(node.cpus for node in nodes) // (num_trials or 10**6)
        per_trial = min(per_trial, max((node.cpus for node in nodes), default=1.0))
    return float(min(max(per_trial, 1.0), MAX_THREADS_PER_TRIAL))


def _fitting(node: Node, cpus: float, gpus: float) -> int:
    by_cpu = int(node.cpus / cpus + 1e-6)
    return min(by_cpu, int(node.gpus / gpus + 1e-6)) if gpus else by_cpu


def _reason(error: BaseException) -> str:
    """The message of a Ray error: the first line, or all where that names two versions that differ."""
    text = str(error).strip() or type(error).__name__
    if "mismatch" in text.lower():
        return " ".join(text.split())[:MAX_REASON].rstrip(".")
    return text.splitlines()[0].rstrip(".")
