"""A Ray cluster of several simulated nodes on this machine, each with a home of its own."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tune_jobs.head_security import ensure_token
from tune_jobs.sweep.policy import SweepView, TrialView
from tune_jobs.training.process import MODULE


@dataclass
class Nodes:
    """The cluster; this process is its driver, on the head."""

    folder: Path
    cluster: Any
    added: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def home_of(self, name: str) -> Path:
        return self.folder / name

    def add(self, name: str, *, num_cpus: int = 1, **variables: str) -> None:
        """Start a node that shares no cache with the others."""
        home = self.home_of(name)
        home.mkdir(parents=True)
        self.added[name] = self.cluster.add_node(
            num_cpus=num_cpus,
            env_vars={"RECOMMENDER_HOME": str(home), **variables},
            include_log_monitor=False,
        )

    def kill(self, name: str) -> None:
        """kill -9 of a node's raylet, with all that it started."""
        self.cluster.remove_node(self.added.pop(name), allow_graceful=False)


@contextlib.contextmanager
def running_nodes(folder: Path, head_home: Path, names: tuple[str, ...] = ()) -> Iterator[Nodes]:
    """A head with a CPU on which this process is the driver, and further nodes with a CPU each."""
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", os.environ.get("RAY_AUTH_TOKEN", "0123456789abcdef" * 4))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ensure_token()
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "include_dashboard": False,
                "env_vars": {"RECOMMENDER_HOME": str(head_home)},
            },
        )
        try:
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
            nodes = Nodes(folder=folder, cluster=cluster)
            for name in names:
                nodes.add(name)
            cluster.wait_for_nodes()
            yield nodes
        finally:
            ray.shutdown()
            cluster.shutdown()


def home_of_training(pid: int) -> Path | None:
    """On which simulated node a training process runs; None when it is gone."""
    with contextlib.suppress(psutil.Error):
        return Path(psutil.Process(pid).environ()["RECOMMENDER_HOME"])
    return None


def trainings_below(folder: Path) -> list[int]:
    """Training processes whose home lies below a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if MODULE in (process.info["cmdline"] or ()):
            home = home_of_training(process.pid)
            if home is not None and home.is_relative_to(folder):
                found.append(process.pid)
    return found


def wait_for_no_training(folder: Path, *, timeout_s: float = 60.0) -> None:
    """A training whose actor or node was killed notices it within a moment, on a busy machine within several."""
    until = time.monotonic() + timeout_s
    while trainings_below(folder):
        assert time.monotonic() < until, "a training outlived its sweep"
        time.sleep(0.2)


class Saboteur:
    """A display that does something, once for each trial it is set upon, as soon as that has an epoch."""

    def __init__(self, harm: dict[str, Any], *, after_epochs: int = 1) -> None:
        self.harm = harm  # trial id -> called with the trial
        self.after_epochs = after_epochs
        self.done: set[str] = set()
        self.nodes: set[str] = set()

    def show(self, view: SweepView) -> None:
        for trial in view.of_state("running"):
            self._look(trial)

    def _look(self, trial: TrialView) -> None:
        if trial.process is not None and (home := home_of_training(trial.process)) is not None:
            self.nodes.add(home.name)
        ready = trial.process is not None and len(trial.curve) >= self.after_epochs
        if ready and trial.id in self.harm and trial.id not in self.done:
            self.done.add(trial.id)
            self.harm[trial.id](trial)
