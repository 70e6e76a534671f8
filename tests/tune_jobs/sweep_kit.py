"""Trials small enough to train in seconds, and words that actors would say about them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from recommender.datasets import open_dataset
from recommender.records import Dataset, EpochMetrics, Mode, Recipe, Run, Start
from recommender.store import Store
from recommender.store.records_json import encode
from tests.datagen import make_dataset
from tests.store.builders import point
from tune_jobs.artefact_transfer import Artefact, pack_dataset, pack_weights
from tune_jobs.sweep.compute_budget import ComputeBudget
from tune_jobs.sweep.policy import Policy, RunAll
from tune_jobs.sweep.run_recorder import RunRecorder
from tune_jobs.sweep.trial_driver import Slots, TrialDriver
from tune_jobs.sweep.trial_spec import TrialLimits, TrialSpec
from tune_jobs.sweep.unfinished_runs import failed_run
from tune_jobs.training import TrainingJob

ROOT = Path(__file__).resolve().parents[2]
COCO = ROOT / "recommender" / "checkpoints" / "zoo" / "coco-yolo11n.safetensors"
TINY = Recipe(epochs=2, imgsz=64, batch=4)


def tiny_dataset(folder: Path, *, seed: int = 0) -> Dataset:
    """Eight pictures of 64 px: six to train, two to validate."""
    return open_dataset(make_dataset(folder, images=8, size=(64, 64), boxes=1, seed=seed))


def trial(
    artefact: Artefact,
    *,
    mode: Mode = "scratch",
    name: str = "drawn",
    recipe: Recipe = TINY,
    weights: Artefact | None = None,
    **changes: Any,
) -> TrialSpec:
    """One trial on a packed data set, from COCO's weights if no others; `changes` are fields of the recipe."""
    weights = None if mode == "scratch" else weights or coco_artefact()
    job = TrainingJob(
        data=artefact.source,
        output=Path(),
        start=Start(checkpoint="scratch" if mode == "scratch" else "coco", mode=mode),
        architecture="yolo11n",
        recipe=replace(recipe, **changes),
        kind="trial",
        target_hash=artefact.key,
        target_name=name,
        weights=None if weights is None else weights.source,
        weights_sha256=None if weights is None else weights.sha256,
    )
    return TrialSpec(job=job, data=artefact, weights=weights)


@functools.cache
def coco_artefact() -> Artefact:
    """The zoo's COCO weights."""
    return pack_weights(COCO)


def exploding_weights(folder: Path) -> Artefact:
    """COCO's weights, so large that the first loss is not finite."""
    from safetensors.torch import load_file, save_file

    file = folder / "exploding.safetensors"
    save_file({name: tensor.float() * 1e30 for name, tensor in load_file(COCO).items()}, file)
    return pack_weights(file)


def packed(folder: Path, *, seed: int = 0) -> Artefact:
    """A tiny data set, packed."""
    return pack_dataset(tiny_dataset(folder, seed=seed))


# ── for tests without processes ──


def paper_trials(count: int, *, epochs: int = 3, target: str = "target") -> list[TrialSpec]:
    """Trials that nobody will train."""
    artefact = Artefact(kind="dataset", key=target, sha256="0" * 64, num_bytes=0, source=Path("nowhere.tar"))
    return [trial(artefact, seed=seed, epochs=epochs) for seed in range(count)]


def finished(spec: TrialSpec, values: Sequence[float], *, status: str = "succeeded") -> Run:
    """A run of a trial with this curve."""
    curve = tuple(point(number + 1, value) for number, value in enumerate(values))
    best = max(curve, key=lambda one: one.score, default=None)
    done: Literal["succeeded", "stopped"] = "stopped" if status == "stopped" else "succeeded"
    return replace(failed_run(spec.job, ""), status=done, curve=curve, best=best, error=None)


def actor_event(
    token: str,
    kind: str,
    *,
    epoch: EpochMetrics | None = None,
    run: Run | None = None,
    note: str | None = None,
    unfit_on: str | None = None,
) -> dict[str, Any]:
    """An actor's report."""
    event: dict[str, Any] = {"token": token, "kind": kind, "node": "10.0.0.1", "process": 7, "note": note}
    event["unfit_on"] = unfit_on
    if epoch is not None:
        event["point"] = encode(epoch)
    if run is not None:
        event["run"] = encode(run)
    return event


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def trial_driver(
    specs: Sequence[TrialSpec],
    store: Store,
    *,
    clock: Clock | None = None,
    policy: Policy | None = None,
    budget: str | None = None,
    slots: int = 2,
    max_parallel: int | None = None,
    limits: TrialLimits | None = None,
    device_s_before: float = 0.0,
) -> TrialDriver:
    """A trial driver with a clock of its own."""
    return TrialDriver(
        specs,
        recorder=RunRecorder(store),
        policy=policy or RunAll(),
        compute_budget=ComputeBudget.parse(budget),
        slots=Slots(count=slots, max_parallel=max_parallel, device="cpu", devices_per_trial=1.0),
        limits=limits or TrialLimits(),
        clock=clock or Clock(),
        device_s_before=device_s_before,
    )
