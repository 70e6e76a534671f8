"""Nodes in network namespaces of their own; one is cut off in the middle of a sweep, and comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from recommender.store import Store
from tests.faults.ray_heads import TOKEN, kill_with_children, ray_start, wait_for_port, with_token
from tests.faults.ray_nodes import Saboteur
from tests.tune_jobs.sweep_kit import packed, trial
from tune_jobs.cluster import Cluster, connect
from tune_jobs.head_security import ensure_token
from tune_jobs.local_environment import free_port
from tune_jobs.sweep.policy import TrialView
from tune_jobs.sweep.run import SweepSettings, run_trials
from tune_jobs.sweep.trial_spec import TrialLimits

pytestmark = [pytest.mark.ray, pytest.mark.slow]
NUM_NODES = 2
QUICK_TO_NOTICE = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode


@dataclass(frozen=True, kw_only=True)
class Net:
    """A bridge, and namespaces hanging on it by cables that can be pulled."""

    name: str
    subnet: str

    @property
    def head(self) -> str:
        return f"{self.subnet}.1"

    def node(self, number: int) -> str:
        return f"{self.subnet}.{number + 2}"

    def inside(self, number: int) -> tuple[str, ...]:
        return ("ip", "netns", "exec", f"{self.name}{number}")

    def cable(self, number: int, state: str) -> None:
        ip("link", "set", f"{self.name}v{number}", state)

    def build(self) -> None:
        ip("link", "add", self.name, "type", "bridge")
        ip("addr", "add", f"{self.head}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        for number in range(NUM_NODES):
            space, ours, theirs = f"{self.name}{number}", f"{self.name}v{number}", f"{self.name}p{number}"
            ip("netns", "add", space)
            ip("link", "add", ours, "type", "veth", "peer", "name", theirs)
            ip("link", "set", ours, "master", self.name, "up")
            ip("link", "set", theirs, "netns", space)
            ip("-n", space, "addr", "add", f"{self.node(number)}/24", "dev", theirs)
            ip("-n", space, "link", "set", theirs, "up")
            ip("-n", space, "link", "set", "lo", "up")

    def remove(self) -> None:
        for number in range(NUM_NODES):
            ip("netns", "del", f"{self.name}{number}", check=False)
            ip("link", "del", f"{self.name}v{number}", check=False)
        ip("link", "del", self.name, check=False)


@pytest.fixture
def net() -> Iterator[Net]:
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip")
    found = Net(name=f"rc{os.getpid() % 10000}", subnet=f"10.{os.getpid() % 200 + 20}.77")
    try:
        found.build()
    except subprocess.CalledProcessError:
        found.remove()
        pytest.skip("needs the right to make network namespaces (ip netns)")
    yield found
    found.remove()


@pytest.fixture
def address(net: Net, session_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head that only drives, and a node of one CPU in each namespace, with a home of its own."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    ensure_token()
    port = free_port()
    found = f"{net.head}:{port}"
    head = with_token(session_home, **QUICK_TO_NOTICE)
    started = [
        ray_start(
            head,
            *("--head", f"--port={port}", f"--node-ip-address={net.head}", "--num-cpus=0"),
            "--include-dashboard=false",
        )
    ]
    try:
        wait_for_port(port, net.head)
        with connect(found) as cluster:
            for number in range(NUM_NODES):
                home = tmp_path / f"node{number}"
                home.mkdir()
                arguments = (f"--address={found}", f"--node-ip-address={net.node(number)}")
                variables = with_token(home, **QUICK_TO_NOTICE)
                started.append(ray_start(variables, *arguments, prefix=net.inside(number)))
                # One after the other: the namespaces share /tmp, and two raylets that start together there
                # choose the same socket names, of which both die.
                wait_for_nodes(cluster, number + 2)
        yield found
    finally:
        for process in started:
            kill_with_children(process)


def wait_for_nodes(cluster: Cluster, count: int) -> None:
    until = time.monotonic() + 120
    while len(cluster.nodes()) < count:
        assert time.monotonic() < until, "a node did not come up"
        time.sleep(0.5)


def test_a_node_is_cut_off_and_comes_back(net: Net, address: str, tmp_path: Path) -> None:
    """Rows R3 and R4: its trial goes on elsewhere, and what it says on its return is not counted."""
    artefact = packed(tmp_path / "data")
    specs = [trial(artefact, epochs=25, seed=seed) for seed in range(4)]
    cut: dict[str, float] = {}

    def pull_the_cable(seen: TrialView) -> None:
        if seen.node == net.node(0) and not cut:
            net.cable(0, "down")
            cut[seen.id] = time.monotonic()

    class Repairing(Saboteur):
        def show(self, view: object) -> None:
            super().show(view)  # type: ignore[arg-type]
            if cut and "back" not in cut and time.monotonic() - next(iter(cut.values())) > 15:
                net.cable(0, "up")
                cut["back"] = time.monotonic()

    saboteur = Repairing({spec.id: pull_the_cable for spec in specs})
    with Store(tmp_path / "store.sqlite3") as store:
        result = run_trials(
            specs,
            store=store,
            settings=SweepSettings(address=address, limits=TrialLimits(silent_actor_s=10)),
            display=saboteur,
        )
        runs = store.runs.list()
    assert cut, "no trial ran in the namespace that was to be cut off"
    assert {one.state for one in result.trials} == {"finished"}
    assert sorted(run.id for run in runs) == sorted(spec.id for spec in specs)
    steps = [(run.id, point.epoch) for run in runs for point in run.curve]
    assert len(steps) == len(set(steps)) == 25 * len(specs)
    (victim,) = (one for one in result.trials if one.id in cut)
    assert victim.node == net.node(1)
