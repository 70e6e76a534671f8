"""A cluster of plain processes, a trivially short training, and the smallest target, for the launcher's tests."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from recommender.datasets import open_dataset
from recommender.records import Dataset, Job, Profile
from recommender.requests import TrainingRequest
from recommender.store import Store
from tests.datagen import make_dataset
from tune_jobs.launcher import Launcher, LauncherSettings
from tune_jobs.ray_jobs import State, Submission
from tune_jobs.storage import UrlStorage
from tune_jobs.training_spec import Target, submit_training

CLUSTER = "test"
TRIVIAL = "tests.tune_jobs.trivial_training"
ROOT = Path(__file__).resolve().parents[2]


class ProcessCluster:
    """Runs each submission as a process of its own session, once per id; state lives in a folder, for many users.

    What the tests need of a cluster, as Ray gives it: an id is taken once, whoever comes first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refuse_to_start = 0  # so many submissions wait in vain for a node
        self.is_full = False  # what is submitted waits for as long
        folder.mkdir(parents=True, exist_ok=True)

    def submit(self, submission: Submission) -> None:
        place = self.folder / submission.id
        try:
            place.mkdir()
        except FileExistsError:
            return
        if self.is_full:
            return
        if self.refuse_to_start:
            self.refuse_to_start -= 1
            (place / "unstarted").touch()
            return
        script = (
            "echo $$ >> ../../starts; echo $$ > pid.part && mv pid.part pid; "
            '"$@" > log 2>&1; echo $? > code.part && mv code.part code'
        )
        subprocess.run(
            ["setsid", "--fork", "/bin/sh", "-c", script, "job", *submission.command],
            cwd=place,
            env={**os.environ, **submission.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            check=True,
        )

    def state(self, id: str) -> State | None:
        place = self.folder / id
        if not place.exists():
            return None
        gone: State
        for gone in ("unstarted", "failed"):
            if (place / gone).exists():
                return gone
        if (place / "stopped").exists():
            return "stopped"
        if (place / "code").exists():
            return "succeeded" if (place / "code").read_text().strip() == "0" else "failed"
        if not (place / "pid").exists():
            return "waiting"
        return "running" if psutil.pid_exists(self.pid(id)) else "failed"

    def last_words(self, id: str) -> str | None:
        log = self.folder / id / "log"
        return log.read_text().strip().rpartition("\n")[2] if log.exists() else None

    def stop(self, id: str) -> None:
        if self.state(id) in ("running", "waiting"):
            (self.folder / id / "stopped").touch()
            self.kill(id)

    def pid(self, id: str) -> int:
        return int((self.folder / id / "pid").read_text())

    def kill(self, id: str, how: int = signal.SIGKILL) -> None:
        """Signal the job and its children."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.killpg(self.pid(id), how)

    def forget(self, id: str) -> None:
        """As a head that was replaced: it never heard of the id, and the job is gone."""
        self.kill(id)
        (self.folder / id).rename(self.folder / f"{id}.forgotten")

    def lose(self, id: str) -> None:
        """As a node that is declared dead: the job counts as failed, whatever its processes do."""
        (self.folder / id / "failed").touch()

    def running(self, id: str) -> bool:
        """True if its processes live, whatever the cluster believes."""
        return psutil.pid_exists(self.pid(id)) and psutil.Process(self.pid(id)).status() != "zombie"

    def starts(self) -> int:
        """Processes that were ever started."""
        return len((self.folder.parent / "starts").read_text().splitlines())

    def ids(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


def make_launcher(
    store: Store, cluster: ProcessCluster, storage: UrlStorage, *, module: str = TRIVIAL, **settings: Any
) -> Launcher:
    """A launcher on the cluster of processes; its attempts train for no time unless another module is named."""
    chosen = LauncherSettings(
        cluster=CLUSTER,
        storage_url=storage.url,
        python=sys.executable,
        module=module,
        **{"state_every_s": 0.0, "ttl_s": 0.5} | settings,
    )
    return Launcher(store, cluster, storage, chosen)


def until(launcher: Launcher, done: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Step until something is so. Raises AssertionError, with what troubles the launcher, when it takes longer."""
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, launcher.trouble or "timed out"
        launcher.step()
        time.sleep(0.05)


class Workshop:
    """A store, a storage, a cluster and a target in one folder; launchers at will."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.store = store
        self.folder = folder
        self.cluster = ProcessCluster(folder / "cluster")
        self.storage = UrlStorage(str(folder / "storage"))
        self.data = make_dataset(folder / "user", images=6, seed=3)
        dataset = open_dataset(self.data)
        store.profiles.put(
            _profile_of(dataset)
        )  # as if it had been recommended for: launching needs no probe
        self.target = Target(
            path=str(self.data),
            hash=dataset.content_hash,
            name=dataset.name,
            num_images=dataset.num_images,
        )

    def launcher(self, **settings: Any) -> Launcher:
        return make_launcher(self.store, self.cluster, self.storage, **settings)

    def through(self, store: Store) -> Workshop:
        """The same workshop seen through another connection to its store."""
        other = copy.copy(self)
        other.store = store
        return other

    def ask(self, key: str, **request: Any) -> Job:
        asked = {
            "dataset": str(self.data),
            "start": "scratch",
            "epochs": 2,
            "imgsz": 64,
            "batch": 4,
            "gpus": 0,
        }
        chosen = TrainingRequest.model_validate(asked | request)
        return submit_training(self.store, chosen, self.target, key=key, cluster=CLUSTER)[0]


def finished(workshop: Workshop, job: Job, launcher: Launcher | None = None, timeout_s: float = 60.0) -> Job:
    """The job at its end. Raises AssertionError when it takes longer."""
    until(launcher or workshop.launcher(), lambda: workshop.store.jobs.require(job.id).ended, timeout_s)
    return workshop.store.jobs.require(job.id)


_profiles: list[Profile] = []


def _profile_of(dataset: Dataset) -> Profile:
    """The target's profile, embedded once for all tests: every workshop draws the same target."""
    if not _profiles:
        from recommender.profile.profiling import profile_dataset

        _profiles.append(profile_dataset(dataset))
    return _profiles[0]
