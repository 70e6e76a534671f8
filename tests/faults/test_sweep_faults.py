"""Sweeps on a simulated cluster of three nodes, with what goes wrong on clusters."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from recommender.errors import StorageError
from recommender.records import Recipe
from recommender.store import RANKABLE, Store
from tests.faults.ray_nodes import Nodes, Saboteur, home_of_training, running_nodes, wait_for_no_training
from tests.tune_jobs.sweep_kit import COCO, exploding_weights, packed, trial
from tune_jobs.artefact_transfer import Artefact, pack_weights
from tune_jobs.sweep.artefact_store import files_at, open_artefact_store
from tune_jobs.sweep.policy import RunAll, SweepView, TrialView
from tune_jobs.sweep.run import SweepSettings, run_trials
from tune_jobs.sweep.trial_spec import TrialLimits

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def nodes(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with running_nodes(tmp_path_factory.mktemp("nodes"), session_home, ("second", "third")) as found:
        yield found


@pytest.fixture(scope="module")
def targets(session_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artefact, Artefact]:
    folder = tmp_path_factory.mktemp("targets")
    return packed(folder / "one"), packed(folder / "two", seed=1)


def _removed(file: Path) -> Artefact:
    """Weights whose file somebody has removed since."""
    file.write_bytes(b"weights")
    artefact = pack_weights(file)
    file.unlink()
    return artefact


def test_one_trial_out_of_memory_one_hanging_one_diverging(
    nodes: Nodes, targets: tuple[Artefact, Artefact], store: Store, tmp_path: Path
) -> None:
    """Rows R5, R8, R9: they fail alone, with their reasons, and never enter the history."""
    good = [trial(targets[0], seed=1), trial(targets[1], seed=1)]
    hungry = trial(targets[0], recipe=Recipe(epochs=2, imgsz=1280, batch=6))
    hanging = trial(targets[0], epochs=50, seed=2)
    diverging = trial(targets[0], mode="full", weights=exploding_weights(tmp_path))
    gone = trial(targets[0], mode="full", weights=_removed(tmp_path / "removed.safetensors"))
    saboteur = Saboteur({hanging.id: lambda trial: os.kill(trial.process, signal.SIGSTOP)})
    result = run_trials(
        [gone, hungry, hanging, diverging, *good],
        store=store,
        settings=SweepSettings(limits=TrialLimits(memory_mb=1600, idle_s=5)),
        display=saboteur,
    )
    errors = {t.id: (t.run.error or "") for t in result.trials if t.state == "failed" and t.run}
    assert set(errors) == {gone.id, hungry.id, hanging.id, diverging.id}
    assert "removed.safetensors cannot be read: No such file or directory. Fetch" in errors[gone.id]
    assert "Traceback" not in errors[gone.id]
    assert "1600 MB are allowed a trial" in errors[hungry.id]
    assert errors[hanging.id].startswith("timed out: no work done")
    assert "not finite" in errors[diverging.id]
    assert {run.id for run in store.runs.list(statuses=RANKABLE)} == {spec.id for spec in good}
    wait_for_no_training(nodes.folder)


def test_a_policy_stops_trials_and_the_budget_all(
    nodes: Nodes, targets: tuple[Artefact, Artefact], store: Store
) -> None:
    class Impatient(RunAll):
        def judge(self, view: SweepView, trial: TrialView) -> str | None:
            return "seen enough" if trial.recipe.seed == 1 else None

    short, endless = trial(targets[0], epochs=50, seed=1), trial(targets[0], epochs=100_000, seed=2)
    budget_s = 40.0
    result = run_trials(
        [short, endless], store=store, policy=Impatient(), settings=SweepSettings(budget=f"{budget_s:g}s")
    )
    stopped, cut_off = result.trials
    assert stopped.run is not None
    assert stopped.run.status == "stopped"
    assert len(stopped.run.curve) == 1
    assert stopped.run.notes[-1] == "stopped by the policy: seen enough"
    assert cut_off.state == "cut off"
    assert result.reason == "the budget is spent"
    assert result.view.spent_s <= budget_s + 1.0
    assert store.runs.get(endless.id) is None
    wait_for_no_training(nodes.folder)


def test_nodes_and_workers_die_in_the_middle_and_nothing_counts_twice(
    nodes: Nodes,
    targets: tuple[Artefact, Artefact],
    store: Store,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Row R3, and the issue's "three-node cluster, a node killed in the middle"."""
    nodes.add("doomed")
    doomed_home = nodes.home_of("doomed")
    epochs = 4
    specs = [
        trial(artefact, mode=mode, epochs=epochs, seed=seed)
        for seed in (1, 2)
        for artefact in targets
        for mode in ("full", "scratch")
    ]
    waiting: list[int] = []
    killed: list[str] = []

    def kill_node_and_actor(trial: TrialView) -> None:
        """Hold the trainings elsewhere until "doomed" has one; then kill that node, and the Ray worker of one other."""
        if trial.process is None:
            return
        if "node" in killed:
            kill_worker_once(trial.process)
        elif home_of_training(trial.process) == doomed_home:
            killed.append("node")
            nodes.kill("doomed")
            for process in waiting:
                os.kill(process, signal.SIGCONT)
                kill_worker_once(process)
        else:
            waiting.append(trial.process)
            os.kill(trial.process, signal.SIGSTOP)

    def kill_worker_once(process: int) -> None:
        if "actor" not in killed:
            killed.append("actor")
            psutil.Process(process).parent().kill()  # type: ignore[union-attr]

    saboteur = Saboteur({spec.id: kill_node_and_actor for spec in specs})
    patient = SweepSettings(limits=TrialLimits(idle_s=600))  # for those held
    result = run_trials(specs, store=store, settings=patient, display=saboteur)
    assert killed == ["node", "actor"]
    assert capfd.readouterr().out == ""  # where an answer's JSON goes
    assert result.reason is None
    assert {trial.state for trial in result.trials} == {"finished"}
    runs = store.runs.list()
    assert sorted(run.id for run in runs) == sorted(spec.id for spec in specs)
    steps = [(run.id, point.epoch) for run in runs for point in run.curve]
    assert len(steps) == len(set(steps)) == epochs * len(specs)
    assert "doomed" in saboteur.nodes
    assert len(saboteur.nodes) >= 3
    wait_for_no_training(nodes.folder)


class HeldUntilNoted:
    """Holds the trainings of good nodes until a trial's note says why: else they end all before the bad one is up."""

    def __init__(self, bad_node: str, why: str) -> None:
        self.bad_node, self.why = bad_node, why
        self.held: set[int] = set()
        self.noted = False

    def show(self, view: SweepView) -> None:
        self.noted = self.noted or any(self.why in (trial.note or "") for trial in view.trials)
        if self.noted:
            while self.held:
                os.kill(self.held.pop(), signal.SIGCONT)
            return
        running = {trial.process for trial in view.of_state("running") if trial.process is not None}
        for process in running - self.held:
            home = home_of_training(process)
            if home is not None and home.name != self.bad_node:
                os.kill(process, signal.SIGSTOP)
                self.held.add(process)


@pytest.mark.parametrize("lacks", ["a disk", "the version", "a library"])
def test_a_node_that_cannot_train_spoils_no_trial(
    lacks: str, nodes: Nodes, targets: tuple[Artefact, Artefact], store: Store, tmp_path: Path
) -> None:
    """Alone it would fail every trial within seconds, before the good nodes have ended one."""
    other = tmp_path / "ultralytics-8.0.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: ultralytics\nVersion: 8.0.0\n")
    name = lacks.replace(" ", "-")
    if lacks == "a disk":
        nodes.add(name)
        (nodes.home_of(name) / "node_cache").touch()  # where nothing can be put any more
    elif lacks == "the version":
        nodes.add(name, PYTHONPATH=str(tmp_path))
    else:
        (tmp_path / "only").mkdir()
        (tmp_path / "only" / "torchvision.py").write_text("raise ImportError('no libGL.so.1')")
        nodes.add(name, PYTHONPATH=str(tmp_path / "only"))
    specs = [trial(targets[0], epochs=1, seed=seed) for seed in range(5)]
    whys = {
        "a disk": "node_cache",
        "the version": "ultralytics 8.0.0 where the driver has",
        "a library": "no libGL.so.1: install",
    }
    why = whys[lacks]
    notes = HeldUntilNoted(name, why)
    patient = SweepSettings(limits=TrialLimits(idle_s=600))  # for those held
    result = run_trials(specs, store=store, settings=patient, display=notes)
    nodes.kill(name)
    assert {trial.state for trial in result.trials} == {"finished"}
    assert store.runs.list(statuses=("failed",)) == ()
    assert notes.noted
    assert [why in note for note in result.view.left_out] == [True]


def test_a_trial_whose_data_fit_on_no_disk_fails_alone(
    nodes: Nodes, targets: tuple[Artefact, Artefact], store: Store, session_home: Path, tmp_path: Path
) -> None:
    homes = [session_home, nodes.home_of("second"), nodes.home_of("third")]
    large = packed(tmp_path / "large", seed=5)
    for home in homes:  # nothing can be put in this place
        (home / "node_cache" / f"dataset-{large.key}.1.lock").mkdir(parents=True)
    specs = [trial(artefact, epochs=1, seed=seed) for artefact in (large, targets[0]) for seed in range(6)]
    specs = specs[4:]
    watching = Saboteur({})
    result = run_trials(specs, store=store, display=watching)
    errors = {t.id: (t.run.error or "") for t in result.trials if t.state == "failed" and t.run}
    assert set(errors) == {spec.id for spec in specs[:2]}
    assert all(error.startswith("no node that had it could train it: ") for error in errors.values())
    assert result.reason is None
    assert result.view.left_out == ()
    assert watching.nodes == {home.name for home in homes}  # those that were given back train others


def test_an_actor_refuses_a_file_in_its_own_words(nodes: Nodes, tmp_path: Path) -> None:
    import ray

    storage = files_at(open_artefact_store(ray.get_runtime_context().get_node_id()))
    with pytest.raises(StorageError, match=r"failed: '\.\./x' is not a name inside the storage") as caught:
        storage.put("../x", COCO)
    assert "Traceback" not in str(caught.value)
    assert not storage.get("states/none.pt", tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


def test_data_reach_each_node_once(
    nodes: Nodes, targets: tuple[Artefact, Artefact], session_home: Path
) -> None:
    """After the tests above: one copy of each artefact on each node, through Ray and no shared disk."""
    for name in ("second", "third"):
        cache = nodes.home_of(name) / "node_cache"
        places = sorted(p.name for p in cache.iterdir() if p.is_dir())
        assert len(places) == len(set(places))
        assert {f"dataset-{artefact.key}.1" for artefact in targets} & set(places)
        assert not (nodes.home_of(name) / "shipments").exists()
    assert list((session_home / "shipments").glob("*.tar"))
