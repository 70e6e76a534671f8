"""From a request to trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from recommender.datasets import open_dataset
from recommender.errors import NotFoundError, UnavailableError, UsageError
from recommender.requests import SweepRequest
from recommender.store import Store
from tests.datagen import make_dataset
from tests.tune_jobs.sweep_kit import finished, tiny_dataset
from tune_jobs.cluster import Node, trial_resources
from tune_jobs.sweep.grid import sweep
from tune_jobs.sweep.planning import plan_sweep, recipes_of


def request(**changes: object) -> SweepRequest:
    fields = {"datasets": ("somewhere",), "checkpoints": ("coco",), "epochs": 3, "imgsz": 64}
    return SweepRequest.model_validate(fields | changes)


def test_every_start_meets_every_target_at_every_seed(store: Store, tmp_path: Path) -> None:
    targets = [tiny_dataset(tmp_path / str(seed), seed=seed) for seed in range(2)]
    plan = plan_sweep(request(seeds=(0, 1), fractions=(0.5, 1.0)), targets, store)
    found = {
        (s.job.target_hash, str(s.job.start), s.job.recipe.seed, s.job.recipe.fraction) for s in plan.specs
    }
    starts = {str(spec.job.start) for spec in plan.specs}
    assert len(found) == len(plan.specs) == 2 * 3 * 2 * 2
    assert {start.split(":")[-1] for start in starts} == {"full", "freeze", "scratch"}
    assert len({spec.id for spec in plan.specs}) == len(plan.specs)
    assert not plan.notices


def test_the_same_request_plans_the_same_runs(store: Store, tmp_path: Path) -> None:
    target = tiny_dataset(tmp_path / "data")
    first, second = (plan_sweep(request(), [target], store) for _ in range(2))
    assert [spec.id for spec in first.specs] == [spec.id for spec in second.specs]


def test_the_same_data_set_named_twice_is_one_target(store: Store, tmp_path: Path) -> None:
    target = tiny_dataset(tmp_path / "data")
    plan = plan_sweep(request(), [target, replace(target, name="alias")], store)
    assert len({spec.id for spec in plan.specs}) == len(plan.specs) == 3


def test_a_checkpoint_is_not_tried_on_its_own_source(store: Store, tmp_path: Path) -> None:
    from recommender.checkpoints import get_checkpoint

    target = tiny_dataset(tmp_path / "data")
    coco = get_checkpoint(store, "coco")
    store.checkpoints.put(replace(coco, name="own", origin="registry", source_hash=target.content_hash))
    plan = plan_sweep(request(checkpoints=("coco", "own")), [target], store)
    assert "own" not in {spec.job.start.checkpoint for spec in plan.specs}
    assert [notice.code for notice in plan.notices] == ["trained_on_target"]


def test_scratch_trains_the_architecture_of_its_rivals(store: Store, tmp_path: Path) -> None:
    plan = plan_sweep(request(modes=("scratch",)), [tiny_dataset(tmp_path / "data")], store)
    assert [spec.job.architecture for spec in plan.specs] == ["yolo11n"]
    other = plan_sweep(
        request(modes=("scratch",), architecture="yolov8n"), [tiny_dataset(tmp_path / "data")], store
    )
    assert other.specs[0].id != plan.specs[0].id


def test_an_architecture_of_another_task_is_refused(store: Store, tmp_path: Path) -> None:
    target = replace(tiny_dataset(tmp_path / "data"), task="segment")
    asked = request(checkpoints=("scratch",), modes=("scratch",), architecture="yolo11n")
    with pytest.raises(UsageError, match="yolo11n is no instance segmenter"):
        plan_sweep(asked, [target], store)
    assert plan_sweep(asked.model_copy(update={"architecture": "yolo11n-seg"}), [target], store).specs


def test_unknown_and_absent_checkpoints_are_named(store: Store, tmp_path: Path) -> None:
    target = tiny_dataset(tmp_path / "data")
    with pytest.raises(NotFoundError, match="nonesuch"):
        plan_sweep(request(checkpoints=("nonesuch",)), [target], store)
    with pytest.raises(NotFoundError, match="not on this machine"):
        plan_sweep(request(checkpoints=("yolov8x",)), [target], store)


def test_a_sweep_of_nothing_is_refused(store: Store, tmp_path: Path) -> None:
    target = tiny_dataset(tmp_path / "data")
    with pytest.raises(UsageError, match="Nothing is left"):
        plan_sweep(request(checkpoints=("scratch",), modes=("full",)), [target], store)


@pytest.mark.parametrize(
    "wrong",
    [
        {"datasets": ()},
        {"modes": ("half",)},
        {"seeds": (-1,)},
        {"fractions": (0.0,)},
        {"fractions": (1.5,)},
        {"epochs": 0},
        {"budget": "soon"},
        {"gpus_per_trial": -1},
        {"epoch": 3},
    ],
)
def test_requests_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        request(**wrong)


def test_recipes_are_nested_by_seed() -> None:
    recipes = recipes_of(request(seeds=(3, 5), fractions=(0.1, 1.0)))
    assert [(r.seed, r.fraction) for r in recipes] == [(3, 1.0), (3, 0.1), (5, 1.0), (5, 0.1)]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_has_ended_is_missed_by_new_runs_alone(
    address: str, store: Store, tmp_path: Path
) -> None:
    data = make_dataset(tmp_path / "data", images=8, size=(64, 64), boxes=1)
    asked = request(datasets=(str(data),), address=address)
    with pytest.raises(UnavailableError, match=r"No Ray head answers at 127\.0\.0\.1:1"):
        sweep(asked, store=store)
    for spec in plan_sweep(asked, [open_dataset(data)], store).specs:
        store.runs.add(finished(spec, [0.1, 0.2, 0.3]))
    swept = sweep(asked, store=store).result
    assert [trial.reused for trial in swept.trials] == [True] * 3
    assert swept.reason is None


# ── who gets which part of a cluster ──


def node(cpus: float, gpus: float = 0.0) -> Node:
    return Node(id="n", cpus=cpus, gpus=gpus)


@pytest.mark.parametrize(
    ("nodes", "asked", "cpus", "gpus", "slots"),
    [
        ((node(2),), {}, 1, 0, 2),
        ((node(8),), {"num_trials": 2}, 4, 0, 2),
        ((node(8), node(4)), {"num_trials": 100}, 1, 0, 12),
        ((node(16), node(2)), {"num_trials": 1}, 8, 0, 2),
        ((node(16, 4),), {}, 4, 1, 4),
        ((node(16, 4),), {"gpus_per_trial": 0.5}, 2, 0.5, 8),
        ((node(16, 4),), {"gpus_per_trial": 2}, 8, 2, 2),
        ((node(16, 4), node(64)), {}, 4, 1, 4),
        ((node(4, 8),), {}, 1, 1, 4),
        ((node(16, 4),), {"gpus_per_trial": 0, "num_trials": 100}, 1, 0, 16),
        ((node(16),), {"cpus_per_trial": 5}, 5, 0, 3),
        ((node(6, 2),), {"gpus_per_trial": 0.3}, 1, 0.3, 6),
    ],
)
def test_a_cluster_is_divided(
    nodes: tuple[Node, ...], asked: dict[str, float], cpus: float, gpus: float, slots: int
) -> None:
    resources = trial_resources(nodes, **asked)  # type: ignore[arg-type]
    assert (resources.cpus, resources.gpus, resources.num_slots) == (cpus, gpus, slots)
    assert resources.device == ("gpu" if gpus else "cpu")


@pytest.mark.parametrize(
    ("nodes", "asked", "message"),
    [
        ((node(4),), {"gpus_per_trial": 1}, "the largest node has 0"),
        ((node(4, 1), node(4, 1)), {"gpus_per_trial": 2}, "the largest node has 1"),
        ((node(4),), {"cpus_per_trial": 8}, "No node has 8 CPUs"),
        ((), {}, "the nodes offer nothing"),
    ],
)
def test_a_trial_larger_than_any_node_is_refused(
    nodes: tuple[Node, ...], asked: dict[str, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        trial_resources(nodes, **asked)  # type: ignore[arg-type]
