"""Trial policy: which next, when to stop one, when to stop all. Decisions on beliefs known in closed form."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from recommender.forecast.gaussian_process import Posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.policy import (
    ExpectedGain,
    Race,
    as_trial,
    current_forecast,
    expected_excess,
    extrapolate,
    forecast_of_trainings,
    indices,
    keep_running,
    next_trial,
    worth_training,
)
from recommender.forecast.situation import from_scale
from recommender.records import EpochMetrics, Profile, Start
from tests.forecast.builders import observation, profile, situation
from tests.store.builders import point

TARGET = profile("target", 0.0)
SIMILAR, RIVAL, UNRELATED = profile("near", 0.1), profile("rival", 0.12), profile("unrelated", 2.8)


def race() -> Race:
    candidates = tuple(situation(TARGET, s) for s in (SIMILAR, RIVAL, UNRELATED, None))
    return Race(history=(), candidates=candidates, tolerance=0.0005)


def curve(*values: float) -> tuple[EpochMetrics, ...]:
    return tuple(point(i, value) for i, value in enumerate(values, start=1))


def test_the_first_trial_is_one_that_may_change_the_answer() -> None:
    choice = next_trial(race())
    assert choice is not None
    assert choice.start.checkpoint in {"near", "rival"}
    assert choice.expected_gain > 0


def test_nothing_is_tried_twice_nor_while_it_runs() -> None:
    first = next_trial(race())
    assert first is not None
    second = next_trial(replace(race(), running=(first.start,)))
    assert second is not None
    assert second.start != first.start


def test_trials_end_when_the_answer_is_certain() -> None:
    """Every start tried to its end, far apart: no further trial can pay."""
    full = race()
    results = (0.6, 0.3, 0.2, 0.05)
    trials = tuple(observation(c, r) for c, r in zip(full.candidates, results, strict=True))
    assert next_trial(replace(full, trials=trials)) is None


def test_trials_end_sooner_when_the_user_cares_less() -> None:
    assert next_trial(replace(race(), tolerance=0.5)) is None


def test_trials_go_on_while_together_they_are_worth_it_though_none_is_by_itself() -> None:
    """The first of several that broke off says little: what is still to come is common to all."""
    many = tuple(situation(TARGET, profile(f"near {i}", 0.1 + i / 100)) for i in range(8))
    crowd = Race(history=(), candidates=many, trial_epochs=10)
    value = ExpectedGain(crowd)
    everyone = range(len(many))
    single, together = max(value.of([i]) for i in everyone), value.of(everyone)
    between = replace(crowd, tolerance=(single + together) / 2)
    assert single < between.tolerance < together
    assert next_trial(between) is not None


def whole(*sources: Profile | None, tolerance: float = 0.01, pair: float = 0.1) -> Race:
    """A race whose trials are full trainings, of starts that may differ; None: random weights."""
    starts = tuple(situation(TARGET, source) for source in sources)
    return Race(
        history=(),
        candidates=starts,
        trial_epochs=starts[0].budget.epochs,
        tolerance=tolerance,
        scales=PriorScales(pair=pair),
    )


def test_what_runs_already_is_not_counted_twice() -> None:
    pair = whole(SIMILAR, RIVAL)
    first = next_trial(pair)
    assert first is not None
    second = next_trial(replace(pair, running=(first.start,)))
    assert second is not None
    assert second.expected_gain < first.expected_gain
    dear = replace(pair, tolerance=second.expected_gain + 0.001, running=(first.start,))
    assert next_trial(dear) is None


def test_a_training_is_worth_what_it_may_end_above_the_one_in_hand() -> None:
    """A standard normal exceeds z by φ(z) − z (1 − Φ(z)) on average; the scale is close to linear over .02."""
    belief = Posterior(mean_N=np.array([0.7, 0.7]), covariance_NN=np.eye(2) * 0.02**2)
    score, above = from_scale(np.array([0.7, 0.71])).tolist()
    slope = (above - score) / 0.01
    excess = expected_excess(belief, [0, 1], np.array([score, above]))
    normal = NormalDist()
    expected = [0.02 * slope * (normal.pdf(z) - z * (1 - normal.cdf(z))) for z in (0.0, 0.5)]
    assert excess == pytest.approx(expected, rel=0.1)
    found = indices(belief, [0, 1], np.array(expected))
    assert found == pytest.approx([score, above], abs=0.002)


def test_a_whole_trial_as_good_as_can_be_ends_them() -> None:
    pair = whole(SIMILAR, RIVAL, UNRELATED)
    ends = (0.95, 0.3, 0.1)
    lucky, other, _ = (observation(c, end) for c, end in zip(pair.candidates, ends, strict=True))
    assert next_trial(replace(pair, trials=(lucky,))) is None
    both = replace(pair, trials=(other, lucky))
    known = forecast_of_trainings(both)
    assert from_scale(known.mean_N)[0] == pytest.approx(0.95, abs=0.01)
    assert known.covariance_NN[0, 0] < 1e-6


def test_a_whole_trial_as_low_as_the_history_expected_tells_nothing() -> None:
    """The rules alone expect random weights above 0 there; two pretrained starts at .03 say otherwise."""
    full = whole(SIMILAR, RIVAL, None)
    known = tuple(observation(candidate, 0.03) for candidate in full.candidates[:2])
    before = replace(full, history=known)
    after = replace(before, trials=(observation(full.candidates[2], 0.0),))
    assert forecast_of_trainings(after).mean_N == pytest.approx(
        forecast_of_trainings(before).mean_N, abs=0.001
    )


def test_no_start_is_trained_to_learn_what_is_certain() -> None:
    certain = whole(SIMILAR, UNRELATED, pair=0.001, tolerance=0.2)
    favourite = int(forecast_of_trainings(certain).expected_scores().argmax())
    assert worth_training(certain) == (favourite,)
    assert next_trial(certain) is None


def test_the_less_certain_of_two_equals_is_trained_first() -> None:
    """Its upper tail is longer; the mean alone would not choose it."""
    belief = Posterior(mean_N=np.array([0.70, 0.69]), covariance_NN=np.diag([0.01**2, 0.05**2]))
    steady, wild = indices(belief, [0, 1], np.array([0.004, 0.004])).tolist()
    assert wild > steady


def test_the_favourite_is_tried_before_the_unknown_for_they_are_judged_against_each_other() -> None:
    """Only differences count of what breaks off: trials of outsiders alone would say nothing of the first start."""
    forecast = current_forecast(race()).mean_N
    favourite = race().candidates[int(forecast.argmax())].start
    first = next_trial(replace(race(), trial_epochs=5))
    assert first is not None
    second = next_trial(replace(race(), trial_epochs=5, running=(first.start,)))
    assert second is not None
    assert favourite in {first.start, second.start}


def test_a_cheaper_trial_of_equal_worth_comes_first() -> None:
    both = (situation(TARGET, SIMILAR), situation(TARGET, RIVAL))
    big = replace(both[0], checkpoint=replace(both[0].checkpoint, num_parameters=26_000_000))  # type: ignore[type-var]
    choice = next_trial(Race(history=(), candidates=(big, both[1]), tolerance=0.0005))
    assert choice is not None
    assert choice.start == both[1].start


def test_what_broke_off_counts_by_differences_only() -> None:
    """Two broken-off trials at half their final level still tell which start leads, not how high it ends."""
    full = race()
    low = []
    for candidate, value in zip(full.candidates[:2], (0.12, 0.20), strict=True):
        cut = observation(candidate, value)
        low.append(as_trial(replace(cut, run=replace(cut.run, curve=curve(0.05, value))), full))
    before, after = current_forecast(full), current_forecast(replace(full, trials=tuple(low)))
    assert after.mean_N[1] > after.mean_N[0]
    assert abs(after.mean_N[:2].mean() - before.mean_N[:2].mean()) < 0.15


@pytest.mark.parametrize("done", [2, 4])
def test_a_hopeless_trial_stops_at_a_rung(done: int) -> None:
    rivals = [curve(0.2, 0.3, 0.35, 0.4, 0.42, 0.43), curve(0.18, 0.28, 0.33, 0.38, 0.4, 0.41)]
    flat = curve(*[0.01] * done)
    assert not keep_running(flat, rivals, start=Start(checkpoint="poor", mode="full"), epochs=6)


def test_scratch_has_patience_and_late_bloomers_go_on() -> None:
    rivals = [curve(0.2, 0.3, 0.35, 0.4, 0.42, 0.43), curve(0.18, 0.28, 0.33, 0.38, 0.4, 0.41)]
    assert keep_running(curve(0.0, 0.0), rivals, start=Start(checkpoint="scratch", mode="scratch"), epochs=6)
    steep = curve(0.02, 0.12, 0.22, 0.32)
    assert keep_running(steep, rivals, start=Start(checkpoint="late", mode="full"), epochs=6)


def test_extrapolation_never_falls_and_never_leaves_the_unit_interval() -> None:
    assert extrapolate(curve(0.3, 0.2, 0.1, 0.05), 100) == pytest.approx(0.3)
    assert extrapolate(curve(0.5, 0.7, 0.9), 1000) == 1.0
