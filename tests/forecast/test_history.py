"""Runs as observations: those that count as they are, that speak for more, that are left out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from recommender.evidence import EVIDENCE_VERSION
from recommender.forecast import history
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.history import (
    BuiltinHistory,
    builtin_history,
    known_history,
    observations,
)
from recommender.forecast.situation import Observation
from recommender.profile import compare
from recommender.records import Profile, Run, Start
from recommender.store import Store
from recommender.store.runs import record_run
from tests.forecast.builders import observation, profile, situation
from tests.profile.synthetic import synthetic_profile

TARGET, SIMILAR = profile("target", 0.0), profile("near", 0.1)
FULL = situation(TARGET, SIMILAR, epochs=50)
DONE = observation(FULL, 0.4).run


def joined(*runs: Run) -> tuple[Observation, ...]:
    assert FULL.checkpoint is not None
    return observations(
        runs,
        profiles={p.dataset_hash: p for p in (TARGET, SIMILAR)},
        checkpoints={FULL.checkpoint.sha256 or "": FULL.checkpoint},
        evidence={(TARGET.dataset_hash, FULL.checkpoint.sha256 or ""): FULL.evidence},
    )


def trial_of_done() -> Run:
    recipe = replace(DONE.recipe, epochs=5, schedule_epochs=DONE.recipe.epochs)
    return replace(DONE, id=f"{DONE.id} trial", kind="trial", recipe=recipe)


def test_a_finished_run_counts_at_its_own_budget() -> None:
    (one,) = joined(DONE)
    assert one.partial is None
    assert one.situation.budget.epochs == 50


def test_a_trial_speaks_for_the_full_run_with_less_weight() -> None:
    (one,) = joined(trial_of_done())
    assert one.situation.budget.epochs == 50
    assert one.partial is not None
    (trial,), (finished,) = joined(trial_of_done()), joined(DONE)
    unsure = posterior([trial], [FULL]).covariance_NN[0, 0]
    assert (
        posterior([finished], [FULL]).covariance_NN[0, 0] < unsure < posterior([], [FULL]).covariance_NN[0, 0]
    )


def test_a_trial_that_was_stopped_counts_as_far_as_it_came() -> None:
    (one,) = joined(replace(trial_of_done(), status="stopped"))
    assert one.partial is not None
    assert joined(replace(DONE, status="stopped")) == ()  # a full training that somebody ended says nothing


def test_failed_runs_and_unknown_targets_or_weights_teach_nothing() -> None:
    assert joined(replace(DONE, status="failed")) == ()
    assert joined(replace(DONE, target_hash="never seen")) == ()
    assert joined(replace(DONE, weights_sha256="never seen")) == ()


def long_history(store: Store, near: Profile, far: Profile, *, each: int) -> None:
    """Runs on two targets and on the one in question, of as many starts as there are runs."""
    runs = [
        replace(
            DONE,
            id=f"{target.dataset_name}-{number}",
            target_hash=target.dataset_hash,
            start=Start(checkpoint=f"start-{number % 40}", mode="full"),
        )
        for target in (TARGET, near, far)
        for number in range(each)
    ]
    store.write(lambda session: [record_run(session, run) for run in runs])


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store in a home of its own, without the shipped runs."""
    monkeypatch.setenv("RECOMMENDER_HOME", str(tmp_path))
    shipped = replace(builtin_history("detect"), runs=())
    monkeypatch.setattr(history, "builtin_history", lambda task: shipped)
    with Store(tmp_path / "store.sqlite3") as opened:
        yield opened


def chosen_ids(store: Store, target: Profile, *starts: str) -> list[str]:
    found: list[str] = []

    def keep(store: Store, runs: Sequence[Run], builtin: BuiltinHistory) -> tuple[Observation, ...]:
        found.extend(run.id for run in runs)
        return ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_joined", keep)
        known_history(store, target=target, starts=starts)
    return found


def test_no_more_runs_of_ones_own_than_there_is_room_for_are_used_whole(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "OWN_RUNS", 30)
    long_history(store, synthetic_profile("near", centre=0.1), synthetic_profile("far", centre=3.0), each=10)
    assert len(chosen_ids(store, TARGET)) == 30


def test_of_a_longer_history_the_target_and_those_nearest_to_it_speak(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = synthetic_profile("asked", centre=0.0)
    near, far = synthetic_profile("near", centre=0.1), synthetic_profile("far", centre=3.0)
    store.profiles.put_all([near, far])
    for name, value in {"MAX_TARGETS": 2, "OWN_RUNS": 60, "RUNS_PER_TARGET": 20}.items():
        monkeypatch.setattr(history, name, value)
    monkeypatch.setattr(sys.modules[__name__], "TARGET", target)
    long_history(store, near, far, each=50)
    store.runs.ignore("near-1")
    found = chosen_ids(store, target, "start-7", "start-39")
    assert Counter(id.rsplit("-", 1)[0] for id in found) == {"asked": 30, "near": 20}
    assert "near-1" not in found
    assert {"near-39", "asked-39"} <= set(found)  # of the starts in question
    starts = [int(id.rsplit("-", 1)[1]) % 40 for id in found if id.startswith("near")]
    assert len(set(starts)) == 20  # one of each start before a second of any


def test_what_a_start_reaches_on_images_it_knows_is_no_result() -> None:
    assert FULL.checkpoint is not None
    key = (TARGET.dataset_hash, FULL.checkpoint.sha256 or "")
    for evidence, counts in ((FULL.evidence, 1), (replace(FULL.evidence, source_images_seen=0.7), 0)):
        found = observations(
            [DONE],
            profiles={TARGET.dataset_hash: TARGET},
            checkpoints={key[1]: FULL.checkpoint},
            evidence={key: evidence},
        )
        assert len(found) == counts


@pytest.mark.parametrize("writable", [True, False])
def test_runs_that_no_answer_looked_at_are_compared_by_their_profiles(store: Store, writable: bool) -> None:
    target, source = synthetic_profile("asked"), synthetic_profile("near", centre=0.1, seed=1)
    store.profiles.put_all([target, source])
    weights = "a" * 64
    assert FULL.checkpoint is not None
    store.checkpoints.put(replace(FULL.checkpoint, sha256=weights, source_hash=source.dataset_hash))
    run = replace(
        DONE, target_hash=target.dataset_hash, source_hash=source.dataset_hash, weights_sha256=weights
    )
    seen = replace(run, id="seen", target_hash=source.dataset_hash)  # trained on its own source
    store.write(lambda session: [record_run(session, one) for one in (run, seen)])
    if not writable:
        store.engine.dispose()
        event.listen(store.engine, "connect", lambda found, _: found.execute("PRAGMA query_only = 1"))
    (one,) = known_history(store)
    assert one.situation.evidence.similarity == compare(target, source).whole
    assert one.situation.evidence.source_images_seen is not None
    assert bool(store.evidence.of([target.dataset_hash], [weights], EVIDENCE_VERSION)) == writable
