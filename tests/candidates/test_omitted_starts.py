"""Public checkpoints that are not here: those that get a row of their own, and the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recommender.candidates.omitted_starts import WORTH_FETCHING, omit_starts, omitted_notes, rescored
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.situation import Situation
from recommender.records import Cost, Profile
from recommender.requests import RecommendRequest
from tests.forecast.builders import observation, profile, situation

EASY = profile("target", 0.0)
HARD = replace(EASY, class_names=tuple(f"class {i}" for i in range(80)))
SIZES = {"n": 2.6, "s": 9.5, "m": 20.0, "x": 57.0}


def starts(target: Profile, num_images: int) -> list[Situation]:
    """YOLO11n here; YOLO11 and YOLO12 in four sizes to be fetched; random weights."""
    here, scratch = situation(target, profile("here", 0.5)), situation(target, None)
    assert here.checkpoint is not None
    found = [replace(here, checkpoint=replace(here.checkpoint, path=Path("weights.safetensors")))]
    for family in ("yolo11", "yolo12"):
        for size, millions in SIZES.items():
            one = situation(target, profile(f"{family}{size}", 0.5))
            assert one.checkpoint is not None
            checkpoint = replace(
                one.checkpoint,
                path=None,
                sha256=None,
                family=family,
                architecture=f"{family}{size}",
                source_name="COCO",
                num_parameters=int(millions * 1e6),
            )
            found.append(replace(one, checkpoint=checkpoint))
    return [replace(one, num_train_images=num_images) for one in (*found, scratch)]


def costs(_: Situation) -> Cost:
    return Cost()


def ask(**values: object) -> RecommendRequest:
    return RecommendRequest.model_validate({"dataset": "d"} | values)


def kept(target: Profile, num_images: int, request: RecommendRequest) -> set[str]:
    situations, omitted = omit_starts(
        starts(target, num_images), (), PriorScales(), request=request, cost_of=costs
    )
    assert len(situations) + len(omitted) == 10
    assert {one.instead for one in omitted} <= {one.start for one in situations}
    return {one.start.checkpoint for one in situations}


def test_on_a_small_set_nothing_is_worth_fetching_and_on_a_large_one_some_are() -> None:
    assert kept(EASY, 100, ask()) == {"here", "scratch"}
    large = kept(HARD, 100_000, ask())
    assert {"here", "scratch"} < large
    situations = starts(HARD, 100_000)
    means = dict(zip(situations, posterior((), situations).expected_scores(), strict=True))
    least = means[situations[0]] + WORTH_FETCHING
    assert all(
        means[one] > least for one in situations if one.start.checkpoint in large - {"here", "scratch"}
    )


def test_nothing_is_left_out_for_a_start_that_is_left_out_itself() -> None:
    """Whatever the number of images: at some the small relatives promise too little, and the large ones enough."""
    for num_images in (300, 1_000, 3_000, 10_000, 30_000):
        ranked = kept(HARD, num_images, ask())
        situations = starts(HARD, num_images)
        means = posterior((), situations).expected_scores()
        expected = {one.start.checkpoint: mean for one, mean in zip(situations, means, strict=True)}
        promising = {name for name, mean in expected.items() if mean > expected["here"] + WORTH_FETCHING}
        assert bool(promising - {"scratch"}) == bool(ranked - {"here", "scratch"})


def test_scores_of_folded_starts_move_with_trials() -> None:
    situations = starts(EASY, 100)
    ranked, omitted = omit_starts(situations, (), PriorScales(), request=ask(), cost_of=costs)
    left_out = [one for one in situations if one not in ranked]
    poor = [observation(situations[0], 0.05)]
    anew = rescored(omitted, left_out, ranked, poor, PriorScales())
    assert {one.start for one in anew} == {one.start for one in omitted}
    assert max(one.score for one in anew) < min(one.score for one in omitted)
    assert [one.score for one in anew] == sorted((one.score for one in anew), reverse=True)


def test_after_trials_they_are_held_against_the_start_that_leads_then() -> None:
    first, *fetched, scratch = starts(EASY, 100)
    assert first.checkpoint is not None
    second = situation(EASY, profile("second", 0.5))
    assert second.checkpoint is not None
    second = replace(
        second, checkpoint=replace(second.checkpoint, path=first.checkpoint.path), num_train_images=100
    )
    situations = [first, second, *fetched, scratch]
    ranked, omitted = omit_starts(situations, (), PriorScales(), request=ask(), cost_of=costs)
    (led,) = {one.instead for one in omitted}
    loser, winner = (first, second) if led == first.start else (second, first)
    left_out = [one for one in situations if one not in ranked]
    trials = [observation(loser, 0.05), observation(winner, 0.6)]
    anew = rescored(omitted, left_out, ranked, trials, PriorScales())
    assert {one.instead for one in anew} == {winner.start}


def test_one_of_a_family_stands_for_it_and_a_limit_takes_the_best() -> None:
    ranked = kept(EASY, 100, ask(everything=True)) - {"here", "scratch"}
    assert sorted(name[:6] for name in ranked) == ["yolo11", "yolo12"]
    assert not any(name.endswith("x") for name in ranked)
    limited = kept(EASY, 100, ask(device="t4", max_latency="50ms")) - {"here", "scratch"}
    situations = starts(EASY, 100)
    means = posterior((), situations).expected_scores()
    expected = {one.start.checkpoint: mean for one, mean in zip(situations, means, strict=True)}
    best = {
        max((f"{family}{size}" for size in SIZES), key=expected.__getitem__)
        for family in ("yolo11", "yolo12")
    }
    assert limited == best


def test_named_starts_are_all_ranked() -> None:
    assert len(kept(EASY, 100, ask(checkpoints=("yolo11x",)))) == 10


@pytest.mark.parametrize(("request_", "said"), [(ask(), "to be fetched"), (ask(everything=True), "families")])
def test_what_is_left_out_is_counted_in_one_short_note(request_: RecommendRequest, said: str) -> None:
    situations, omitted = omit_starts(starts(EASY, 100), (), PriorScales(), request=request_, cost_of=costs)
    (notice,) = omitted_notes(omitted, situations)
    assert said in notice.message
    assert len(notice.message) < 300


def test_public_checkpoints_that_promise_nothing_are_said_to() -> None:
    situations, omitted = omit_starts(starts(EASY, 100), (), PriorScales(), request=ask(), cost_of=costs)
    (notice,) = omitted_notes([replace(one, score=one.instead_score) for one in omitted], situations)
    assert "none is expected to end above here:full." in notice.message


def test_weights_for_gray_images_take_part_only_where_they_are_here() -> None:
    from recommender.candidates.choosing import public_checkpoints

    names = {one.name for one in public_checkpoints(fetchable="detect")}
    assert "yolo11n" in names
    assert "yolo11n-grayscale" not in names


def test_of_other_tasks_only_their_own_official_checkpoints_are_fetched() -> None:
    from recommender.candidates.choosing import public_checkpoints

    unfetched = [one for one in public_checkpoints(fetchable="segment") if not one.available]
    assert len(unfetched) > 10
    assert {one.task for one in unfetched} == {"segment"}
    assert all(one.available for one in public_checkpoints(fetchable=None))
