"""The process that hosts a launcher: `python -m tune_jobs.hosting`. One per cluster, store and machine.

It outlives the command or the service that started it while there is work, and ends by itself when there is none.
Killed, it is started again by whoever watches a job, and finds everything as the store has it.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from recommender.atomic_files import replacing
from recommender.errors import RecommenderError, StorageError, UsageError
from recommender.home import home, subfolder
from recommender.ultralytics_safety import safe_environment
from tune_jobs.launcher import Capacity, Launcher, LauncherSettings, tell_once
from tune_jobs.training_spec import KIND as TRAINING

if TYPE_CHECKING:
    from recommender.records import Job
    from recommender.store import Store

MODULE = "tune_jobs.hosting"
log = logging.getLogger(MODULE)
ACTIVE_S, IDLE_S = 0.5, 2.0  # between steps
PATIENCE_S = 60.0  # with a local Ray that does not answer
_started: dict[str, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, kw_only=True)
class JobLocation:
    """The cluster that jobs run on, and the storage of their files."""

    address: str | None = None  # None: a local Ray, started for the occasion
    storage: str | None = None  # folder or URL; None: our home, or the disk of the cluster's head
    python: str | None = None  # on the nodes; None: this one locally, `python` elsewhere

    @property
    def cluster(self) -> str:
        """The name under which the jobs of this place are kept."""
        if self.address is not None:
            return self.address.rstrip("/")
        return _local_cluster(subfolder("trainings") / "local-cluster")

    def require_answer(self) -> None:
        """Raise UnavailableError while nobody listens at the address."""
        if self.address is not None:
            from tune_jobs.head_security import require_head

            require_head(self.address)

    def check(self) -> None:
        """Raise UsageError for a place that cannot work."""
        if self.storage is None and self.address and self.address.startswith("http"):
            raise UsageError(
                f"{self.address} takes jobs but no files.",
                remedy="Name a --storage that its nodes reach (a shared folder, s3://…), or give ray://host:10001.",
            )


@functools.cache
def _local_cluster(file: Path) -> str:
    """The name of the cluster that is started here, kept beside what its trainings leave.

    A container has another host name at each start, and a restored backup another machine: jobs go on all the same.
    """
    try:
        with FileLock(f"{file}.lock"):
            if not file.is_file():
                machine = f"{socket.gethostname()} {home()}"
                with replacing(file, durable=True) as part:
                    part.write_text(
                        f"local-{hashlib.sha256(machine.encode()).hexdigest()[:12]}", encoding="ascii"
                    )
            return file.read_text(encoding="ascii")
    except OSError as error:
        raise StorageError(
            f"{file} cannot be kept: {error.strerror or error}.",
            remedy="Make its folder writable, or free some space.",
        ) from error


def ensure_host(store: Store, place: JobLocation, *, parent: int | None = None, module: str = MODULE) -> bool:
    """Start a host for this place unless one runs; returns whether one was started.

    With `parent` it stays while that process lives, else until its jobs have ended. `module` names the kind of
    host: this one, for trainings, or `tune_jobs.sweep_host`.
    """
    place.check()
    lock = host_lock(store, place, module)
    for name, host in list(_started.items()):
        if host.poll() is not None:
            del _started[name]  # ended, and buried by the poll
    if lock.lock_file in _started:
        return False  # ours; it may not have come to take its lock yet
    try:
        with lock.acquire(timeout=0):
            pass
    except Timeout:
        return False
    command = [sys.executable, "-m", module]
    for name in ("address", "storage", "python"):
        value = getattr(place, name)
        command += [f"--{name}", value] if value is not None else []
    command += ["--parent", str(parent)] if parent is not None else []
    with (subfolder("logs") / "launcher.log").open("ab") as output:
        _started[lock.lock_file] = subprocess.Popen(  # noqa: S603
            command,
            cwd=home(),  # Python, and Ray's workers, load modules from the current folder, which may be a data set
            env={**os.environ, "RECOMMENDER_STORE_URL": store.url, "RECOMMENDER_HOME": str(home())},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal ends the watching, not the training
        )
    return True


def main() -> int:
    """Host a launcher until there is nothing to do; returns the exit code."""

    def serve(store: Store, place: JobLocation, parent: int | None) -> int:
        with _launcher(store, place) as launcher:
            return _serve(launcher, local=place.address is None, parent=parent)

    return run_host(MODULE, TRAINING, serve)


def run_host(module: str, kind: str, serve: Callable[[Store, JobLocation, int | None], int]) -> int:
    """The process of a host for jobs of a kind: arguments, store, lock, and what goes wrong told to the jobs.

    `serve` gets the store, the place and the parent's process id, and returns the exit code.
    """
    parser = argparse.ArgumentParser()
    for name in ("address", "storage", "python"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--parent", type=int)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    place = JobLocation(address=given.address, storage=given.storage, python=given.python)
    from recommender.store import Store

    with Store() as store:
        try:
            with host_lock(store, place, module).acquire(timeout=5):
                return serve(store, place, given.parent)
        except Timeout:
            log.info("another host looks after %s", place.cluster)
        except RecommenderError as error:
            log.error("%s", error)
            with contextlib.suppress(RecommenderError):
                for job, _ in store.launches.active(place.cluster):
                    if job.kind == kind:
                        tell_once(store, job, str(error))
            return 1
    return 0


def _serve(launcher: Launcher, *, local: bool, parent: int | None) -> int:
    answered = time.monotonic()
    idle_since: float | None = None
    while True:
        active = 1
        try:
            active = launcher.step()
        except RecommenderError as error:  # the store is away: what runs goes on without us
            log.warning("%s", error)
        now = time.monotonic()
        if launcher.trouble is None:
            answered = now
        elif local and now - answered > PATIENCE_S:
            log.error("the local Ray does not answer: %s", launcher.trouble)
            return 1
        idle_since = None if active else idle_since or now
        if idle_since is not None and now - idle_since > 2 * IDLE_S and not _alive(parent):
            return 0
        time.sleep(ACTIVE_S if active else IDLE_S)


@contextmanager
def _launcher(store: Store, place: JobLocation) -> Iterator[Launcher]:
    from tune_jobs.ray_jobs import RayJobs
    from tune_jobs.storage import open_storage

    with _jobs_address(place) as address:
        url = place.storage or (
            str(subfolder("trainings")) if place.address is None else _actor_url(store, place)
        )
        local = place.address is None
        environment = dict(safe_environment())
        if local:
            environment["RECOMMENDER_HOME"] = str(home())
        settings = LauncherSettings(
            cluster=place.cluster,
            storage_url=url,
            python=place.python or (sys.executable if local else "python"),
            environment=environment,
            default_cpus=(os.cpu_count() or 1) if local else 1,
            capacity=_local_capacity if local else None,
            guard=None if local else lambda job: _require_token(place, job),
            download_to=subfolder("trainings") if url.startswith("actor://") else None,
        )
        yield Launcher(store, RayJobs(address, started_here=local), open_storage(url), settings)


def _require_token(place: JobLocation, job: Job) -> None:
    """Check the token at each launch anew: another head may have come up at the same address.

    Whoever starts an open head on loopback and names it on the command line knows; whoever asks over HTTP does not.
    """
    from tune_jobs.head_security import require_head, require_token

    require_token(require_head(place.address or "auto"), allow_loopback=not job.owner)


def _local_capacity() -> Capacity:
    import torch

    return Capacity(cpus=os.cpu_count() or 1, gpus=torch.cuda.device_count())


@contextmanager
def _jobs_address(place: JobLocation) -> Iterator[str]:
    """The job server's address; a connection to the cluster around it where files travel through Ray."""
    from tune_jobs.cluster import connect
    from tune_jobs.head_security import require_head, require_token
    from tune_jobs.local_ray import local_job_server
    from tune_jobs.ray_jobs import RayJobs

    if place.address is None:
        with local_job_server(subfolder("logs") / "launcher.log") as address:
            yield address
    elif place.storage is not None:
        require_token(require_head(place.address))
        RayJobs(place.address).require_answer()
        yield place.address
    else:
        with connect(place.address):
            yield place.address


def _actor_url(store: Store, place: JobLocation) -> str:
    digest = hashlib.sha256(f"{store.url} {place.cluster}".encode()).hexdigest()
    return f"actor://{digest[:16]}"


def host_lock(store: Store, place: JobLocation, module: str) -> FileLock:
    """Held by the one host of its kind on this machine for a store and a cluster."""
    digest = hashlib.sha256(f"{module} {store.url} {place.cluster}".encode()).hexdigest()
    return FileLock(subfolder("launchers") / f"{digest[:16]}.lock")


def _alive(pid: int | None) -> bool:
    import psutil

    return pid is not None and psutil.pid_exists(pid)


if __name__ == "__main__":
    sys.exit(main())
