"""The forecast's order and intervals, on data sets whose similarity is known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.forecast.decision import decide
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.ranking import _share_above, _shares_of_wins, rank_starts
from recommender.forecast.reasons import reasons
from recommender.forecast.situation import Situation, to_scale
from recommender.records import Budget, Evidence, Profile, Start, TrainingStep
from tests.forecast.builders import observation, profile, situation

NEAR, MIDDLE, FAR = 0.1, 0.8, 2.5
TARGET = profile("target", 0.0)
SIMILAR, UNRELATED = profile("near", NEAR), profile("unrelated", FAR)


def names(found: object) -> list[str]:
    return [str(forecast.situation.start) for forecast in found]  # type: ignore[attr-defined]


def race(epochs: int = 50, images: int = 150) -> list:  # type: ignore[type-arg]
    target = profile("target", 0.0, train=images)
    return [situation(target, source, epochs=epochs) for source in (UNRELATED, None, SIMILAR)]


def test_without_history_kin_lead_and_scratch_trails_on_little_data() -> None:
    assert names(rank_starts([], race())) == ["near:full", "unrelated:full", "scratch"]


def test_a_checkpoint_trained_on_this_very_data_comes_last_and_wins_nothing() -> None:
    own = profile("own", NEAR)
    known = situation(profile("target", 0.0, train=150), own)
    known = replace(known, evidence=replace(known.evidence, source_images_seen=0.9))
    runs = [
        observation(situation(profile(f"past {i}", 0.1 * i), own), 0.9) for i in range(4)
    ]  # it would lead
    with_it, without = rank_starts(runs, [*race(), known]), rank_starts(runs, race())
    assert names(with_it)[-1] == "own:full"
    assert with_it[-1].p_best == 0
    assert with_it[-1].expected_loss >= with_it[-2].expected_loss > 0
    assert names(with_it)[:-1] == names(without)
    assert with_it[0].expected_loss == pytest.approx(without[0].expected_loss, abs=0.01)
    assert decide(with_it, runs).num_starts == 3


def test_draws_that_are_equal_are_shared_and_beat_by_half() -> None:
    draws_SN = np.array([[0.0, 0.0, 0.0], [0.1, 0.3, 0.3], [0.5, 0.0, 0.0]])
    shares_N = _shares_of_wins(draws_SN, draws_SN.max(axis=1))
    assert shares_N == pytest.approx([4 / 9, 5 / 18, 5 / 18])
    assert shares_N.sum() == pytest.approx(1)
    assert _share_above(draws_SN[:, 1], draws_SN[:, 0]) == pytest.approx(0.5)


def test_where_all_end_at_nothing_no_start_wins_by_its_place() -> None:
    starts = race(epochs=1, images=10)
    failed = [observation(one, 0.0) for one in starts for _ in range(30)]
    for candidates in (starts, starts[::-1]):
        ranked = rank_starts(failed, candidates)
        assert sum(one.p_best for one in ranked) == pytest.approx(1)
        assert max(one.p_best for one in ranked) < 0.6
        assert all(0.3 < one.p_beats_first < 0.7 for one in ranked)


def test_where_all_were_trained_on_the_target_they_share_what_is_to_win() -> None:
    seen = [replace(one, evidence=Evidence(source_images_seen=1.0)) for one in race() if one.source]
    assert sum(one.p_best for one in rank_starts([], seen)) == pytest.approx(1)
    assert all(0 < one.p_best < 1 for one in rank_starts([], seen))


@pytest.mark.parametrize("epochs", [1, 50])
def test_the_gain_is_the_difference_of_the_scores_and_lies_in_its_interval(epochs: int) -> None:
    starts = race(epochs=epochs, images=30)
    ranked = rank_starts([observation(one, 0.01) for one in starts], starts)
    scratch = next(one for one in ranked if one.situation.checkpoint is None)
    for one in ranked:
        gain = one.gain_over_scratch
        assert gain.mean == pytest.approx(one.score.mean - scratch.score.mean, abs=1e-12)
        assert gain.low <= gain.mean <= gain.high


def test_the_head_start_fades_with_data_and_epochs() -> None:
    little = rank_starts([], race())[0].gain_over_scratch.mean
    much = rank_starts([], race(epochs=500, images=100_000))[0].gain_over_scratch.mean
    assert much < 0.3 * little


def from_random_weights(target: Profile = TARGET, *, images: int = 300) -> Situation:
    found = situation(target, SIMILAR, images=images)
    assert found.checkpoint is not None
    alone = replace(found.checkpoint, name="near-alone", from_scratch=True)
    return replace(found, checkpoint=alone, start=Start(checkpoint=alone.name, mode="full"))


def test_features_learnt_from_few_images_alone_are_a_poor_start() -> None:
    alone, broad = from_random_weights(), from_random_weights(images=118_000)
    assert names(rank_starts([], [*race(), alone])) == [
        "near:full",
        "unrelated:full",
        "near-alone:full",
        "scratch",
    ]
    assert posterior([], [broad]).mean_N > posterior([], [alone]).mean_N + 0.15
    assert "300 images alone, from random weights" in " ".join(reasons(rank_starts([], [alone])[0], ()))


def test_a_zero_shot_score_is_a_reason_that_moves_nothing() -> None:
    known = Evidence(similarity=0.9, class_overlap=1.0, backbone_transferred=1.0, source_images_seen=0.25)
    told = replace(known, scores={"zero_shot_map": 0.42})
    plain, scored = (rank_starts([], [situation(TARGET, SIMILAR, evidence=one)])[0] for one in (known, told))
    assert scored.score == plain.score
    said = " ".join(reasons(scored, ()))
    assert "untrained it reaches mAP50-95 0.42 on what it knows (not weighed; it has seen 25%" in said
    assert "untrained" not in " ".join(reasons(plain, ()))


def test_a_checkpoint_from_random_weights_says_nothing_of_its_namesake() -> None:
    past = [profile(f"past {i}", 0.2 * i) for i in range(6)]
    failures = [observation(from_random_weights(target), 0.02) for target in past]
    before, after = (posterior(known, race()).mean_N for known in ([], failures))
    assert after[2] - after[0] == pytest.approx(before[2] - before[0], abs=0.03)  # near against the unrelated


def test_a_low_result_that_was_expected_says_nothing() -> None:
    """Random weights after one epoch: 0 is no better than expected, though the model's mean lies below 0."""
    asked = race(epochs=100)
    smoke = situation(TARGET, None, epochs=1)
    assert posterior([], [smoke]).mean_N[0] < 0
    before, after = (posterior(known, asked).mean_N for known in ([], [observation(smoke, 0.0)]))
    np.testing.assert_allclose(after, before, atol=0.001)


def test_a_low_result_that_was_not_expected_counts() -> None:
    asked = race()
    failed = observation(situation(TARGET, SIMILAR, epochs=50), 0.0)
    before, after = (posterior(known, asked).mean_N for known in ([], [failed]))
    assert after[2] < before[2] - 0.2
    # Two of one start contradict each other: the one that was higher makes the low one unexpected, so both count.
    both = posterior([failed, observation(situation(TARGET, SIMILAR, epochs=50), 0.5)], asked).mean_N
    assert after[2] < both[2] < before[2] + 0.2


def test_history_overrules_the_rules() -> None:
    """Ten past targets on which the unrelated won by far turn the order round."""
    history = []
    for i in range(10):
        past = profile(f"past{i}", 0.05 * i)
        history += [observation(situation(past, UNRELATED), 0.5), observation(situation(past, SIMILAR), 0.3)]
    assert names(rank_starts(history, race()))[0] == "unrelated:full"


def test_results_on_kindred_targets_count_for_more_than_results_elsewhere() -> None:
    here, there = profile("here", 0.05), profile("there", FAR)
    a, b = profile("a", 1.2), profile("b", -1.2)
    history = [
        observation(situation(here, a), 0.5),
        observation(situation(here, b), 0.3),
        observation(situation(there, a), 0.3),
        observation(situation(there, b), 0.5),
    ]
    candidates = [situation(TARGET, a), situation(TARGET, b), situation(TARGET, None)]
    assert names(rank_starts(history, candidates))[0] == "a:full"


def test_a_trial_on_the_target_itself_settles_most() -> None:
    candidates = race()
    unrelated = next(c for c in candidates if c.start.checkpoint == "unrelated")
    near = next(c for c in candidates if c.start.checkpoint == "near")
    trials = [observation(unrelated, 0.55), observation(near, 0.30)]
    found = {str(o.situation.start): o for o in rank_starts(trials, candidates)}
    assert found["unrelated:full"].p_best > 0.9
    assert found["unrelated:full"].score.low < 0.55 < found["unrelated:full"].score.high


def test_intervals_narrow_as_history_grows() -> None:
    def width(count: int) -> float:
        history = [
            observation(situation(profile(f"past{i}", 0.3 * i), SIMILAR), 0.4 + 0.01 * (i % 3))
            for i in range(count)
        ]
        interval = rank_starts(history, race())[0].score
        return interval.high - interval.low

    assert width(0) > width(3) > width(12)


def test_probabilities_add_up_and_do_not_depend_on_the_order_of_candidates() -> None:
    forward = rank_starts([], race())
    backward = rank_starts([], race()[::-1])
    assert sum(o.p_best for o in forward) == pytest.approx(1.0)
    assert names(forward) == names(backward)


def test_a_leak_earns_nothing() -> None:
    honest = situation(TARGET, SIMILAR)
    leaking = situation(
        TARGET,
        SIMILAR,
        evidence=Evidence(similarity=1.0, class_overlap=1.0, source_images_seen=0.5, backbone_transferred=1),
    )
    mean = [posterior([], [case]).mean_N[0] for case in (honest, leaking)]
    assert mean[1] < mean[0]


def test_permuting_the_history_changes_nothing() -> None:
    history = [observation(situation(profile(f"p{i}", i), SIMILAR), 0.1 * i) for i in range(5)]
    a, b = posterior(history, race()), posterior(history[::-1], race())
    np.testing.assert_allclose(a.mean_N, b.mean_N, atol=1e-9)
    np.testing.assert_allclose(a.covariance_NN, b.covariance_NN, atol=1e-9)


def test_one_observation_agrees_with_the_closed_form() -> None:
    """Posterior mean of the observed situation itself: prior + k/(k + noise²) · (result − prior)."""
    scales, case = PriorScales(), situation(TARGET, SIMILAR)
    prior = posterior([], [case], scales)
    k = prior.covariance_NN[0, 0]
    expected = prior.mean_N[0] + k / (k + scales.noise**2 + scales.seed**2) * (
        to_scale(0.7) - prior.mean_N[0]
    )
    assert posterior([observation(case, 0.7)], [case], scales).mean_N[0] == pytest.approx(expected)


def test_freezing_pays_more_on_kin_than_on_strangers() -> None:
    def loss(source: object) -> float:
        cases = [situation(TARGET, source, mode=mode) for mode in ("full", "freeze")]  # type: ignore[arg-type]
        full, freeze = posterior([], cases).mean_N
        return float(full - freeze)

    assert loss(SIMILAR) < loss(UNRELATED)


def test_breadth_is_that_of_the_whole_chain() -> None:
    """German signs, 160 images fine-tuned from COCO, against COCO itself on another set of signs: rules alone.

    Similarity, shared classes and budget as they were measured; true results .37 against .30.
    """
    target = profile("signs", 0.0, train=150)
    near, broad = (situation(target, one, epochs=15, images=118_287) for one in (SIMILAR, UNRELATED))
    assert near.checkpoint is not None
    german = replace(
        near,
        budget=Budget(epochs=15, imgsz=224),
        checkpoint=replace(near.checkpoint, source_images=160, source_score=0.27),
        evidence=Evidence(similarity=0.94, class_overlap=1.0, backbone_transferred=1.0),
    )
    coco = replace(
        broad,
        budget=Budget(epochs=15, imgsz=224),
        evidence=Evidence(similarity=0.87, class_overlap=0.0, backbone_transferred=1.0),
    )
    first_training = (TrainingStep(source_name="COCO", source_images=118_287),)
    began = replace(german.checkpoint, lineage=first_training)  # type: ignore[type-var]
    random = situation(target, None, epochs=15)
    random = replace(random, budget=german.budget)
    assert names(rank_starts([], [german, coco, random]))[0] == "unrelated:full", "its breadth is not known"
    assert names(rank_starts([], [replace(german, checkpoint=began), coco, random]))[0] == "near:full"


@pytest.mark.parametrize(("epochs", "imgsz"), [(1, 32), (10, 192), (300, 1280)])
def test_the_expected_score_lies_in_its_interval(epochs: int, imgsz: int) -> None:
    """A smoke training ends at 0 nearly always: what it is expected to reach is above most of its draws."""
    target = profile("target", 0.0)
    starts = [
        replace(situation(target, source), budget=Budget(epochs=epochs, imgsz=imgsz))
        for source in (None, profile("near", 0.1), profile("far", 2.0))
    ]
    for forecast in rank_starts((), starts):
        assert forecast.score.low <= forecast.score.mean <= forecast.score.high


def test_no_classifier_is_forecast_below_guessing() -> None:
    names = ("cat", "dog")
    pets = replace(profile("pets", 0.0), task="classify", class_names=names, class_counts=(75, 75))
    starts = [
        replace(situation(pets, source), budget=Budget(epochs=1, imgsz=32))
        for source in (None, profile("near", 0.1))
    ]
    for forecast in rank_starts((), starts):
        assert forecast.score.low >= 0.5
        assert forecast.score.mean > 0.5
