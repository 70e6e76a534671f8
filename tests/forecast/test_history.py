"""How runs become observations: what counts as it is, what speaks for more, what is left out."""

from __future__ import annotations

from dataclasses import replace

from recommender.forecast.history import observations
from recommender.forecast.process import posterior
from recommender.forecast.situation import Observation
from recommender.records import Run
from tests.forecast.builders import observation, profile, situation

TARGET, KIN = profile("target", 0.0), profile("kin", 0.1)
FULL = situation(TARGET, KIN, epochs=50)
DONE = observation(FULL, 0.4).run


def joined(*runs: Run) -> tuple[Observation, ...]:
    assert FULL.checkpoint is not None
    return observations(
        runs,
        profiles={p.dataset_hash: p for p in (TARGET, KIN)},
        checkpoints={FULL.checkpoint.sha256 or "": FULL.checkpoint},
        evidence={(TARGET.dataset_hash, FULL.checkpoint.sha256 or ""): FULL.evidence},
    )


def as_trial_of(run: Run, epochs: int) -> Run:
    recipe = replace(run.recipe, epochs=epochs, schedule_epochs=run.recipe.epochs)
    return replace(run, id=f"{run.id} trial", kind="trial", recipe=recipe)


def test_a_finished_run_counts_at_its_own_budget() -> None:
    (one,) = joined(DONE)
    assert one.partial is None
    assert one.situation.budget.epochs == 50


def test_a_trial_speaks_for_the_full_run_with_less_weight() -> None:
    (one,) = joined(as_trial_of(DONE, 5))
    assert one.situation.budget.epochs == 50
    assert one.partial is not None
    (trial,), (finished,) = joined(as_trial_of(DONE, 5)), joined(DONE)
    unsure = posterior([trial], [FULL]).covariance_NN[0, 0]
    assert (
        posterior([finished], [FULL]).covariance_NN[0, 0] < unsure < posterior([], [FULL]).covariance_NN[0, 0]
    )


def test_a_trial_that_was_stopped_counts_as_far_as_it_came() -> None:
    (one,) = joined(replace(as_trial_of(DONE, 5), status="stopped"))
    assert one.partial is not None
    assert joined(replace(DONE, status="stopped")) == ()  # a full training that somebody ended says nothing


def test_failed_runs_and_unknown_targets_or_weights_teach_nothing() -> None:
    assert joined(replace(DONE, status="failed")) == ()
    assert joined(replace(DONE, target_hash="never seen")) == ()
    assert joined(replace(DONE, weights_sha256="never seen")) == ()
