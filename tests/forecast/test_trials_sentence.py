"""The sentence on trials: whether they changed the answer, on which grounds, and why they stopped."""

from __future__ import annotations

from recommender.forecast.reasons import trials_sentence
from recommender.records import Interval, RankedStart, TrialResult
from tests.report.kit import ranked as row

ANY = Interval(mean=0.3, low=0.2, high=0.4, level=0.8)


def ranked(
    *names: str, p_best: float, trials: dict[str, TrialResult] | None = None
) -> tuple[RankedStart, ...]:
    return tuple(
        row(i + 1, name, "full", p_best=p_best if i == 0 else 0.1, trial=(trials or {}).get(name))
        for i, name in enumerate(names)
    )


def trial(*scores: float) -> TrialResult:
    return TrialResult(run="run-1", status="stopped", epochs=len(scores), score=max(scores), seconds=1.0)


def test_a_changed_answer_names_both_starts_and_what_they_reached() -> None:
    trials = {"coco": trial(0.05, 0.11), "near": trial(0.2, 0.31)}
    said = trials_sentence(
        ranked("coco", "near", p_best=0.34), ranked("near", "coco", p_best=0.61, trials=trials), 2, ended=None
    )
    assert said.startswith("2 trials changed the answer: coco:full was first with a probability of 34%")
    assert "now it is near:full with 61%" in said
    assert "(near:full reached 0.310 in 2 epochs, coco:full reached 0.110 in 2 epochs)" in said
    assert said.endswith("not expected to be worth its cost.")


def test_a_kept_answer_tells_how_sure_it_became() -> None:
    trials = {"coco": trial(0.4)}
    said = trials_sentence(
        ranked("coco", "near", p_best=0.34),
        ranked("coco", "near", p_best=0.9, trials=trials),
        1,
        ended="as many as were asked for",
    )
    assert said == (
        "1 trial kept the answer: coco:full stays first, its probability to be the best went from 34% to 90% "
        "(coco:full reached 0.400 in 1 epoch). Trials ended: as many as were asked for."
    )


def test_no_trial_is_explained_too() -> None:
    same = ranked("coco", p_best=0.99)
    assert "none is expected to improve the choice of coco:full" in trials_sentence(same, same, 0, ended=None)
    assert "budget is used up" in trials_sentence(same, same, 0, ended="the budget is used up")
