"""Trials chosen by the forecast: what it asks for, what it is told, when it has enough."""

from __future__ import annotations

from dataclasses import replace

from recommender.forecast.policy import Race
from recommender.store import Store
from tests.forecast.builders import profile, situation
from tests.store.builders import point
from tests.tune_jobs.sweep_kit import actor_event, finished, paper_trials, trial_driver
from tune_jobs.sweep.chosen_trials import ForecastPolicy, trial_epochs, trial_recipe
from tune_jobs.sweep.trial_driver import TrialDriver
from tune_jobs.sweep.trial_spec import TrialSpec

TARGET = profile("target", 0.0)
SOURCES = (
    profile("near", 0.1),
    profile("rival", 0.12),
    profile("cousin", 0.15),
    profile("unrelated", 2.8),
    None,
)
CANDIDATES = tuple(situation(TARGET, source) for source in SOURCES)


def planned(*, epochs: int = 9) -> list[TrialSpec]:
    (paper,) = paper_trials(1, target=TARGET.dataset_hash)
    return [
        TrialSpec(
            job=replace(paper.job, start=candidate.start, recipe=trial_recipe(candidate, epochs)),
            data=paper.data,
            weights=None,
        )
        for candidate in CANDIDATES
    ]


def driven(
    store: Store, *, max_trials: int | None = None, tolerance: float = 0.001
) -> tuple[TrialDriver, ForecastPolicy]:
    race = Race(history=(), candidates=CANDIDATES, trial_epochs=9, tolerance=tolerance)
    specs = planned()
    policy = ForecastPolicy(race, specs, max_trials=max_trials)
    return trial_driver(specs, store, policy=policy, slots=2), policy


def play(driver: TrialDriver, values: dict[str, float]) -> list[str]:
    """Run what the policy asks for, each to its end at the value of its checkpoint."""
    order = []
    while (id := driver.next_id()) is not None:
        (trial,) = [t for t in driver.view().trials if t.id == id]
        driver.started(id)
        best = values[trial.start.checkpoint]
        spec = driver._trials[id].spec
        run = finished(
            spec, [best * epoch / trial.recipe.epochs for epoch in range(1, trial.recipe.epochs + 1)]
        )
        driver.receive(id, actor_event(id, "run", run=run))
        order.append(trial.start.checkpoint)
    return order


def test_a_trial_is_the_beginning_of_the_full_run() -> None:
    recipe = trial_recipe(CANDIDATES[0], 5)
    assert (recipe.epochs, recipe.schedule_epochs, recipe.imgsz) == (5, 50, 320)
    assert [trial_epochs(full) for full in (1, 4, 30, 100, 300)] == [1, 4, 10, 10, 30]
    whole = trial_recipe(CANDIDATES[0], 50)
    assert (whole.epochs, whole.schedule_epochs) == (50, None)


def test_the_promising_are_tried_first_and_the_number_is_kept(store: Store) -> None:
    driver, policy = driven(store, max_trials=2)
    order = play(driver, {"near": 0.3, "rival": 0.5, "cousin": 0.2, "unrelated": 0.1, "scratch": 0.1})
    assert len(order) == 2
    assert set(order) < {"near", "rival", "cousin"}
    assert driver.stop_reason() == "no further trial is wanted"
    seen = policy.observations(driver.view())
    assert {o.situation.start.checkpoint for o in seen} == set(order)
    assert all(o.partial is not None for o in seen)  # nine of fifty epochs


def test_rates_of_the_leading_start_are_tried_in_turn_with_starts(store: Store) -> None:
    from recommender.recipe_axes import neighbours

    race = Race(history=(), candidates=CANDIDATES, trial_epochs=9, tolerance=0.001)
    specs = planned()
    varied = [
        replace(spec, job=replace(spec.job, recipe=recipe))
        for spec in specs[:3]
        for recipe in neighbours(spec.job.recipe, "full", "yolo11n", ("lr", "freeze"))
    ]
    policy = ForecastPolicy(race, specs, max_trials=4, varied=varied)
    driver = trial_driver([*specs, *varied], store, policy=policy, slots=2)
    recipes = []
    while (id := driver.next_id()) is not None:
        trial = driver._trials[id]
        driver.started(id)
        recipes.append((trial.spec.job.start, trial.spec.job.recipe))
        rate = trial.spec.job.recipe.learning_rate
        run = finished(trial.spec, [0.05 * epoch * (1 if rate is None else 1.2) for epoch in range(1, 10)])
        driver.receive(id, actor_event(id, "run", run=run))
    changed = [(recipe.learning_rate, recipe.freeze) != (None, None) for _, recipe in recipes]
    assert changed == [False, False, True, False]
    assert recipes[2][0] in {start for start, _ in recipes[:2]}
    seen = policy.observations(driver.view())
    assert len(seen) == 3  # one for each start: the best of its rates
    assert any(one.run.recipe.learning_rate is not None for one in seen)


def test_no_trial_is_bought_that_cannot_pay(store: Store) -> None:
    driver, _ = driven(store, tolerance=0.9)
    assert play(driver, {}) == []
    assert driver.stop_reason() == "no further trial is wanted"


def test_what_is_known_already_costs_nothing_and_counts_as_evidence(store: Store) -> None:
    known = finished(planned()[0], [0.1 * epoch for epoch in range(1, 10)])
    store.runs.add(known)
    driver, policy = driven(store, max_trials=1)
    order = play(driver, dict.fromkeys(("near", "rival", "cousin", "unrelated", "scratch"), 0.4))
    assert len(order) == 1
    assert "near" not in order
    assert len(policy.observations(driver.view())) == 2


def test_the_hopeless_is_stopped_at_a_rung(store: Store) -> None:
    driver, _ = driven(store)
    specs = {spec.job.start.checkpoint: spec for spec in planned()}
    for name, value in (("near", 0.5), ("rival", 0.45), ("cousin", 0.4)):
        store.runs.add(finished(specs[name], [value * epoch / 9 for epoch in range(1, 10)]))
    driver, _ = driven(store)
    weak = specs["unrelated"]
    driver._trials[weak.id].state = "running"
    driver.started(weak.id)
    verdicts = [
        driver.receive(weak.id, actor_event("w", "epoch", epoch=point(epoch, 0.01))) for epoch in range(1, 4)
    ]
    assert verdicts[:2] == [None, None]
    assert "not catching up" in (verdicts[2] or "")


def test_what_the_budget_ended_is_in_no_history_and_shapes_no_answer(store: Store) -> None:
    driver, policy = driven(store)
    id = driver.next_id() or ""
    driver.started(id)
    for epoch in (1, 2):
        driver.receive(id, actor_event("a", "epoch", epoch=point(epoch, 0.1 * epoch)))
    driver.stop("the budget is spent")
    driver.close()
    assert policy.observations(driver.view()) == ()
    assert store.runs.list() == ()


def test_a_start_that_failed_is_not_chosen_again(store: Store) -> None:
    from tune_jobs.sweep.unfinished_runs import failed_run

    driver, policy = driven(store)
    id = driver.next_id() or ""
    driver.started(id)
    driver.receive(id, actor_event("a", "run", run=failed_run(driver._trials[id].spec.job, "out of memory")))
    race = policy._race_of(driver.view())
    assert driver._trials[id].spec.job.start not in {one.start for one in race.candidates}
    assert (race.running, race.trials) == ((), ())
    again = driver.next_id()
    assert again is not None
    assert again != id
