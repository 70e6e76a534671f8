"""Of a long registry the checkpoints worth a forecast are recalled: near, proven, and of unknown source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.synthetic_registry import fill_registry
from recommender.candidates import recall as recalling
from recommender.candidates.choosing import choose_starts
from recommender.candidates.recall import PER_SOURCE, RECALLED, WITHOUT_SOURCE, recall
from recommender.checkpoints import located
from recommender.profile import compare
from recommender.profile.shipped import builtin_profiles
from recommender.progress import silent
from recommender.records import Budget, Checkpoint, Mode, Profile, Start
from recommender.requests import RecommendRequest
from recommender.store import Store
from recommender.store.runs import record_run
from tests.store.builders import run

REGISTERED = 200
BUDGET = Budget(epochs=50, imgsz=640)


@pytest.fixture(scope="module")
def target() -> Profile:
    return min(builtin_profiles().values(), key=lambda profile: profile.dataset_name)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with many checkpoints, each trained on a data set of its own."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOMMENDER_HOME", str(folder))
        with Store(folder / "store.sqlite3") as store:
            fill_registry(store, REGISTERED)
            yield store


def recalled(store: Store, target: Profile, *, refused: str = "") -> dict[str, Checkpoint]:
    found = recall(store, target, BUDGET, locate=located, allowed=lambda one: one.name != refused)
    assert [one.name for one in found] == sorted({one.name for one in found})
    return {one.name: one for one in found}


def test_a_short_registry_is_forecast_whole(
    registry: Store, target: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recalling, "RECALLED", REGISTERED)
    assert len(recalled(registry, target)) == REGISTERED


def test_of_a_long_registry_the_nearest_by_every_similarity_are_recalled(
    registry: Store, target: Profile
) -> None:
    found = {one.source_hash for one in recalled(registry, target).values()}
    assert len(found) == RECALLED
    sources = registry.profiles.get_all(registry.profiles.hashes(target.encoder)[1], target.encoder).values()
    for kind in ("whole", "image", "object"):
        nearest = sorted(sources, key=lambda source: -getattr(compare(target, source), kind))[:4]
        assert {source.dataset_hash for source in nearest} <= found


def test_who_may_not_take_part_leaves_the_place_to_another(registry: Store, target: Profile) -> None:
    first = next(iter(recalled(registry, target)))
    without = recalled(registry, target, refused=first)
    assert first not in without
    assert len(without) == RECALLED


def test_the_best_on_similar_targets_is_recalled_however_far_its_source(
    registry: Store, target: Profile
) -> None:
    before = recalled(registry, target)
    outsider = next(one for one in registry.checkpoints.list() if one.name not in before)
    best = run().best
    assert best is not None
    for name, score in ((outsider.name, 0.9), ("other", 0.2), ("another", 0.1)):
        changes = {"start": Start(checkpoint=name, mode="full"), "best": replace(best, score=score)}
        one = replace(run(), id=name, target_hash=target.dataset_hash, **changes)  # type: ignore[arg-type]
        registry.write(lambda session, one=one: record_run(session, one))  # type: ignore[misc]
    try:
        assert outsider.name in recalled(registry, target)
    finally:
        for name in (outsider.name, "other", "another"):
            registry.runs.remove(name)


def test_places_are_kept_for_checkpoints_of_unknown_source(registry: Store, target: Profile) -> None:
    like = registry.checkpoints.list()[0]
    names = [f"unknown-{number:02d}" for number in range(WITHOUT_SOURCE + 3)]
    more = [replace(like, name=name, source_hash=None, source_score=n / 100) for n, name in enumerate(names)]
    registry.checkpoints.put_all(more)
    try:
        found = recalled(registry, target)
        assert [name for name in names if name in found] == names[3:]  # the best of them on their own data
        assert len(found) == RECALLED
    finally:
        for name in names:
            registry.checkpoints.remove(name)


@pytest.mark.slow
def test_many_of_one_source_do_not_crowd_out_the_others(registry: Store, target: Profile) -> None:
    like = next(iter(recalled(registry, target).values()))
    names = [f"same-{number:02d}" for number in range(4 * PER_SOURCE)]
    registry.checkpoints.put_all([replace(like, name=name, source_score=0.99) for name in names])
    try:
        assert sum(name in recalled(registry, target) for name in names) <= PER_SOURCE
    finally:
        for name in names:
            registry.checkpoints.remove(name)


@pytest.mark.parametrize("modes", [("full", "freeze"), ("full",)])
def test_the_answer_says_how_many_of_how_many_were_ranked(
    registry: Store, target: Profile, modes: tuple[Mode, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    request = RecommendRequest.model_validate({"dataset": str(tmp_path), "modes": modes})
    situations, notes = choose_starts(request, registry, target, silent, imgsz=640)
    names = {one.start.checkpoint for one in situations}
    assert "coco-yolo11n" in names
    assert len([name for name in names if name.startswith("synthetic-")]) == RECALLED
    (note,) = notes
    assert note.code == "recalled"
    assert f"{RECALLED} of {REGISTERED} registered" in note.message
    named = request.model_copy(update={"checkpoints": ("synthetic-000001",)})
    assert choose_starts(named, registry, target, silent, imgsz=640)[1] == ()


@pytest.mark.slow
def test_networks_without_a_head_for_the_task_take_no_places(
    registry: Store, target: Profile, tmp_path: Path
) -> None:
    request = RecommendRequest.model_validate({"dataset": str(tmp_path)})

    def taking_part() -> list[Checkpoint]:
        situations, _ = choose_starts(request, registry, replace(target, task="segment"), silent, imgsz=640)
        found = {one.checkpoint.name: one.checkpoint for one in situations if one.checkpoint is not None}
        return [one for name, one in found.items() if name.startswith("synthetic-")]

    before = [registry.checkpoints.get(one.name) for one in taking_part()[:10]]
    old = [one for one in before if one is not None]
    for one in old:
        registry.checkpoints.put(replace(one, architecture="rtdetr-l"), replace=True)
    try:
        after = taking_part()
        assert len(after) == RECALLED
        assert not {one.name for one in after} & {one.name for one in old}
    finally:
        for one in old:
            registry.checkpoints.put(one, replace=True)


@pytest.mark.slow
def test_places_for_unknown_sources_are_for_those_that_may_take_part(
    registry: Store, target: Profile
) -> None:
    like = next(iter(recalled(registry, target).values()))
    unknown = replace(like, source_hash=None)
    refused = [replace(unknown, name=f"refused-{n}", source_score=0.9) for n in range(2 * WITHOUT_SOURCE)]
    fit = replace(unknown, name="fit", source_score=0.1)
    registry.checkpoints.put_all([*refused, fit])
    try:
        found = recall(
            registry, target, BUDGET, locate=located, allowed=lambda one: not one.name.startswith("refused")
        )
        assert fit.name in {one.name for one in found}
    finally:
        for one in (*refused, fit):
            registry.checkpoints.remove(one.name)
