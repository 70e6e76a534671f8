"""An expert's checks: budgets saturate, copies add nothing, and far runs hardly speak."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.forecast.budget import distinct_images, is_supported
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.history import builtin_observations, known_scales
from recommender.forecast.ranking import StartForecast, rank_starts
from recommender.forecast.situation import Observation, Situation, from_scale, to_scale
from recommender.forecast.warnings import warnings
from recommender.records import SCRATCH, Budget, Evidence
from recommender.tasks import Task, task_definition
from tests.forecast.builders import observation, profile, situation

COCO = "coco-yolo11n"


@pytest.fixture(scope="module")
def history() -> tuple[Observation, ...]:
    return builtin_observations("detect")


def starts_on(
    history: tuple[Observation, ...], target: str, *, images: int, epochs: int = 100, imgsz: int = 640
) -> list[Situation]:
    own = [o.situation for o in history if o.situation.target.dataset_name == target]
    unique = {str(s.start): s for s in own}
    budget = Budget(epochs=epochs, imgsz=imgsz)
    return [replace(s, num_train_images=images, budget=budget) for s in unique.values()]


def forecast(history: tuple[Observation, ...], candidates: list[Situation]) -> dict[str, StartForecast]:
    found = rank_starts(history, candidates, scales=known_scales("detect"))
    return {str(forecast.situation.start): forecast for forecast in found}


def targets(history: tuple[Observation, ...]) -> list[str]:
    """Those on which random weights ran too."""
    return sorted({o.situation.target.dataset_name for o in history if o.situation.checkpoint is None})


def expected_scores(
    history: tuple[Observation, ...], target: str, budgets: list[tuple[int, int, int]]
) -> list[dict[str, float]]:
    """Of every start, for each (images, epochs, image size): one solve for all, since no mean depends on another."""
    asked = [starts_on(history, target, images=n, epochs=e, imgsz=s) for n, e, s in budgets]
    scales = known_scales("detect")
    belief = posterior(history, [one for starts in asked for one in starts], scales).of_one_training(scales)
    scores = iter(belief.expected_scores())
    return [{str(one.start): float(next(scores)) for one in starts} for starts in asked]


@pytest.mark.slow
def test_no_budget_alone_forecasts_more_than_any_real_set_reaches(history: tuple[Observation, ...]) -> None:
    budgets = [(5_000, 100, 640), (20_000, 300, 1280), (1_000_000, 1000, 1280)]
    for target in targets(history):
        for budget, found in zip(budgets, expected_scores(history, target, budgets), strict=True):
            assert max(found.values()) < 0.95, (target, budget)


@pytest.mark.slow
def test_scratch_is_never_above_the_best_pretrained_start_below_ten_thousand_images(
    history: tuple[Observation, ...],
) -> None:
    budgets = [(n, epochs, 640) for n in (40, 150, 1_000, 9_999) for epochs in (10, 100, 300)]
    for target in targets(history):
        for budget, found in zip(budgets, expected_scores(history, target, budgets), strict=True):
            assert found.pop(SCRATCH) < max(found.values()), (target, budget)


@pytest.mark.slow
def test_mask_wearing_at_a_usual_budget_is_sane(history: tuple[Observation, ...]) -> None:
    levels, widths = [], []
    for images in (120, 1_000, 5_000, 20_000):
        start = forecast(history, starts_on(history, "mask_wearing", images=images))[f"{COCO}:full"]
        widths.append(start.score.high - start.score.low)
        levels.append(start.score.mean)
    assert levels == sorted(levels)
    assert widths == sorted(widths)  # the further from the runs on 118 images, the less is known
    assert widths[-1] > 2 * widths[0]
    assert 0.4 < levels[0] < 0.65
    assert levels[-1] < 0.8
    assert levels[3] - levels[2] < levels[1] - levels[0]


def test_every_gain_diminishes() -> None:
    target = profile("target", 0.0)
    source = profile("source", 0.1)

    def level(images: int, epochs: int, imgsz: int) -> float:
        asked = replace(
            situation(target, source), num_train_images=images, budget=Budget(epochs=epochs, imgsz=imgsz)
        )
        return float(posterior([], [asked]).mean_N[0])

    for steps in (
        [level(n, 50, 320) for n in (100, 1_000, 10_000, 100_000)],
        [level(200, n, 320) for n in (1, 10, 100, 1_000)],
        [level(200, 50, n) for n in (160, 320, 640, 1280)],
    ):
        gains = np.diff(steps)
        assert (gains > -0.005).all()
        assert gains[0] > gains[1] > gains[2]


def test_ten_copies_of_a_set_forecast_what_the_set_does() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, size=(180, 32), dtype=np.uint8)
    once = replace(profile("once", 0.0, train=150), image_hashes_NB=hashes)
    flips = np.packbits(rng.random((1800, 256)) < 0.02, axis=1)  # as rescaling and light change a hash
    copies = np.repeat(hashes, 10, axis=0) ^ flips
    ten = replace(
        profile("ten", 0.0, train=1500),
        image_hashes_NB=copies,
        num_images=replace(once.num_images, train=1500),
    )
    source = profile("source", 0.1)
    one, other = (situation(target, source, epochs=100) for target in (once, ten))
    assert distinct_images(other) == pytest.approx(150, rel=0.1)
    apart = posterior([], [other]).mean_N[0] - posterior([], [one]).mean_N[0]
    assert abs(apart) < 0.03  # the copies are seen ten times as often, which is worth a little
    distinct = rng.integers(0, 256, size=(1800, 32), dtype=np.uint8)
    real = situation(replace(ten, image_hashes_NB=distinct), source, epochs=100)
    assert posterior([], [real]).mean_N[0] - posterior([], [one]).mean_N[0] > 0.04


def test_a_smoke_test_on_the_target_hardly_moves_the_answer(history: tuple[Observation, ...]) -> None:
    others = tuple(o for o in history if o.situation.target.dataset_name != "raccoon")
    asked = starts_on(history, "raccoon", images=150)
    coco = next(s for s in asked if str(s.start) == f"{COCO}:full")
    smoke = observation(replace(coco, budget=Budget(epochs=1, imgsz=32)), 0.0)
    before, after = (forecast(known, asked)[f"{COCO}:full"] for known in (others, (*others, smoke)))
    assert abs(after.score.mean - before.score.mean) < 0.04
    near = observation(replace(coco, budget=Budget(epochs=60, imgsz=640)), 0.2)
    moved = forecast((*others, near), asked)[f"{COCO}:full"]
    assert before.score.mean - moved.score.mean > 0.15


def test_trials_of_four_epochs_at_96_pixels_hardly_move_the_odds(history: tuple[Observation, ...]) -> None:
    others = tuple(o for o in history if o.situation.target.dataset_name != "raccoon")
    asked = starts_on(history, "raccoon", images=150)
    small = [replace(s, budget=Budget(epochs=4, imgsz=96)) for s in asked]
    shown = {f"{COCO}:full": 0.05, "ships-yolo11n:full": 0.12, "pothole-yolo11n:full": 0.12}
    trials = [observation(s, shown[str(s.start)]) for s in small if str(s.start) in shown]
    assert len(trials) == 3
    before, after = (forecast(known, asked)[f"{COCO}:full"] for known in (others, (*others, *trials)))
    assert after.expected_loss - before.expected_loss < 0.05


def test_far_from_every_run_the_answer_says_so() -> None:
    target, source = profile("target", 0.0), profile("source", 0.1)
    known = [observation(situation(profile("past", 0.2), source, epochs=10), 0.4)]
    near, far = situation(target, source, epochs=15), situation(target, source, epochs=1000)
    past = [o.situation for o in known]
    assert is_supported(past, near)
    assert not is_supported(past, far)
    assert not is_supported([], near)
    codes = [n.code for n in warnings(rank_starts(known, [far]), level_supported=is_supported(past, far))]
    assert codes[0] == "budget_unsupported"
    assert "budget_unsupported" not in [n.code for n in warnings(rank_starts(known, [near]))]


def test_intervals_widen_away_from_what_is_known() -> None:
    target, source = profile("target", 0.0), profile("source", 0.1)
    known = [observation(situation(target, source, epochs=20), 0.4)]

    def width(epochs: int, imgsz: int) -> float:
        asked = replace(situation(target, source), budget=Budget(epochs=epochs, imgsz=imgsz))
        interval = rank_starts(known, [asked])[0].score
        return interval.high - interval.low

    assert width(20, 320) < width(100, 320) < width(100, 1280)


def test_the_scale_and_its_inverse_agree() -> None:
    scores = np.linspace(0.0, 0.99, 50)
    np.testing.assert_allclose(from_scale(np.array([to_scale(float(s)) for s in scores])), scores, atol=1e-9)
    assert from_scale(np.array([5.0]))[0] < 1.0


@pytest.mark.slow
def test_leaving_the_source_out_does_not_pay(history: tuple[Observation, ...]) -> None:
    """Every checkpoint of the zoo, its source hidden, on two targets that are hidden too."""
    for target in ("raccoon",):
        others = tuple(o for o in history if o.situation.target.dataset_name != target)
        asked = starts_on(history, target, images=150, epochs=10, imgsz=192)
        full = [s for s in asked if s.start.mode == "full" and not str(s.start).count("from_random")]
        honest = forecast(others, asked)
        first = next(iter(honest))
        gains = []
        for known in full:
            assert known.checkpoint is not None
            hidden = replace(
                known,
                source=None,
                checkpoint=replace(
                    known.checkpoint, source_hash=None, source_images=None, source_score=None, sha256="0" * 64
                ),
                start=replace(known.start, checkpoint="mystery"),
                evidence=Evidence(backbone_transferred=1.0, class_overlap=0.0),
            )
            rest = [s for s in asked if s.start != known.start]
            found = forecast(others, [*rest, hidden])
            gains.append(found["mystery:full"].score.mean - honest[str(known.start)].score.mean)
            if first != str(known.start):
                assert next(iter(found)) != "mystery:full", known.start
            codes = [n.code for n in warnings(list(found.values()))]
            assert "unknown_source" in codes
        assert np.mean(gains) <= 0.0


def test_an_earlier_run_says_little_of_a_training_that_has_hardly_begun() -> None:
    """Differences after 50 epochs may have other causes than those after three, and the forecast knows."""
    target, sources = profile("target", 0.0), [profile("near", 0.1), profile("far", 2.5)]

    def deviation(epochs: int) -> float:
        known = [observation(situation(target, one, epochs=50), 0.5) for one in sources]
        asked = [replace(situation(target, one), budget=Budget(epochs=epochs, imgsz=320)) for one in sources]
        found = posterior(known, asked).covariance_NN
        return float(np.sqrt(found[0, 0] + found[1, 1] - 2 * found[0, 1]))

    assert deviation(3) > 3 * deviation(50)


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_without_any_run_of_its_task_the_answer_says_that_rules_alone_order(task: Task) -> None:
    asked = situation(replace(profile("target", 0.0), task=task), None)
    (said,) = [
        n
        for n in warnings(rank_starts((), [asked]), level_supported=False, any_runs=False)
        if n.code == "budget_unsupported"
    ]
    assert f"no run of {task_definition(task).name_in_full}" in said.message
    assert "rules alone" in said.message


def test_freezing_pays_less_the_longer_the_training() -> None:
    """Without any run: what full training lacks after few views it has after many (VOC, 50 epochs: .682 to .676)."""
    target, source = profile("target", 0.0), profile("source", 0.3)
    budgets = [(5, 192), (10, 192), (100, 192), (300, 192)]
    lead = []
    for epochs, imgsz in budgets:
        starts = [
            replace(situation(target, source, mode=mode), budget=Budget(epochs=epochs, imgsz=imgsz))
            for mode in ("freeze", "full")
        ]
        frozen, full = posterior((), starts).mean_N
        lead.append(float(frozen - full))
    assert (np.diff(lead) < 0).all()
    assert lead[1] - lead[2] > 0.01


@pytest.mark.parametrize("target", ["mask_wearing", "bccd", "ships"])
def test_ten_epochs_do_not_speak_for_freezing_at_a_hundred(
    history: tuple[Observation, ...], target: str
) -> None:
    """Every frozen run has ten epochs: what freezing gains there is not carried to a hundred."""
    images = {"mask_wearing": 118}.get(target, 160)
    (found,) = expected_scores(history, target, [(images, 100, 640)])
    assert found[f"{COCO}:full"] > found[f"{COCO}:freeze"]


def test_a_copy_of_a_known_set_is_forecast_to_do_what_the_set_does() -> None:
    """Its embedding lies where that of the set does; a set nearby is still another set."""
    source = profile("source", 2.0)
    known = [observation(situation(profile("known", 0.0), source), 0.6)]
    copy, near, unlike = (
        posterior(known, [situation(profile(name, angle), source)])
        for name, angle in (("copy", 0.01), ("near", 0.18), ("unlike", 1.5))
    )
    assert from_scale(copy.mean_N)[0] == pytest.approx(0.6, abs=0.02)
    assert copy.covariance_NN[0, 0] < 0.2 * unlike.covariance_NN[0, 0]
    assert near.covariance_NN[0, 0] > 0.5 * unlike.covariance_NN[0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("target", ["mask_wearing", "bccd", "ships"])
def test_where_all_ends_near_nothing_no_choice_is_expected_to_lose_much(
    history: tuple[Observation, ...], target: str
) -> None:
    found = forecast(history, starts_on(history, target, images=150, epochs=1, imgsz=32))
    first = next(iter(found.values()))
    assert first.score.mean < 0.15
    assert first.expected_loss < max(0.04, first.score.mean)
