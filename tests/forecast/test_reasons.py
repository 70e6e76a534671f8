"""Reasons for a start's rank, as the runs have it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.forecast.ranking import rank_starts
from recommender.forecast.reasons import reasons
from recommender.forecast.situation import Observation, PartialRun
from recommender.records import Budget, Evidence, Profile
from tests.forecast.builders import observation, profile, situation

TARGET, OURS, OTHER = profile("target", 0.0), profile("ours", 0.1), profile("other", 0.5)
SHORT, LONG = Budget(epochs=10, imgsz=192), Budget(epochs=100, imgsz=640)


def ended(target: Profile, source: Profile | None, budget: Budget, score: float) -> Observation:
    return observation(replace(situation(target, source), budget=budget), score)


def said(history: list[Observation], source: Profile | None = OURS) -> str:
    (forecast,) = rank_starts([], [situation(TARGET, source)])
    return "; ".join(reason for reason in reasons(forecast, history) if "other data set" in reason)


def test_a_start_beats_others_at_the_same_budget_alone() -> None:
    past = profile("past", 1.0)
    history = [
        ended(past, OURS, LONG, 0.6),  # above all that was trained for less
        ended(past, OTHER, LONG, 0.7),
        ended(past, None, LONG, 0.65),
        *(ended(past, source, SHORT, 0.1) for source in (OTHER, None)),
    ]
    assert said(history) == "on 1 other data set it beat 0% of the other starts"
    more = ended(past, OURS, SHORT, 0.2)
    assert said([*history, more]) == "on 1 other data set it beat 50% of the other starts"


def test_seeds_count_by_their_mean_and_every_target_once() -> None:
    first, second = profile("first", 1.0), profile("second", 1.5)
    history = [
        *(ended(first, OURS, SHORT, score) for score in (0.1, 0.2, 0.6)),  # 0.3 on average
        *(ended(first, OTHER, SHORT, score) for score in (0.4, 0.41)),
        *(ended(second, OURS, budget, 0.5) for budget in (SHORT, LONG)),
        *(ended(second, OTHER, budget, 0.1) for budget in (SHORT, LONG)),
        ended(TARGET, OURS, SHORT, 0.0),  # the target itself is no other data set
        ended(TARGET, OTHER, SHORT, 0.9),
    ]
    assert said(history) == "on 2 other data sets it beat 50% of the other starts"


def test_a_start_that_was_compared_with_none_says_nothing_of_the_past() -> None:
    past = profile("past", 1.0)
    assert said([ended(past, OURS, SHORT, 0.6), ended(past, OTHER, LONG, 0.1)]) == ""
    broken_off = replace(
        ended(past, OTHER, SHORT, 0.1), partial=PartialRun(group="past", offset=0.1, slope=1.0, noise=0.1)
    )
    assert said([ended(past, OURS, SHORT, 0.6), broken_off]) == ""


@pytest.mark.parametrize(
    ("images", "epochs", "learnt"),
    [
        (1, 1, "1 image in all, too few to learn from nothing"),
        (160, 10, "1,600 images in all, too few to learn from nothing"),
        (40, 60, "2,400 images in all, enough to begin to learn"),
        (160, 100, "16,000 images in all, enough to learn much"),  # on cells: 0.63, as from COCO
    ],
)
def test_scratch_is_judged_by_what_random_weights_have_learnt(images: int, epochs: int, learnt: str) -> None:
    (forecast,) = rank_starts([], [situation(profile("target", 0.0, train=images), None, epochs=epochs)])
    assert reasons(forecast, ()) == (f"random weights; it would see {learnt}",)


def test_one_nearest_object_is_counted_as_one() -> None:
    evidence = Evidence(similarity=0.5, nearest_sources=("ours", "other", "other"))
    (forecast,) = rank_starts([], [situation(TARGET, OURS, evidence=evidence)])
    assert "1 of the 3 known objects nearest to yours is from them" in reasons(forecast, [])
