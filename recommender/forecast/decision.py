"""The decision: the first start, the starts that cannot be told apart from it, and the value of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.policy import Race, relative_cost, worth_training
from recommender.forecast.ranking import NUM_DRAWS, StartForecast
from recommender.forecast.rules import trained_on_target
from recommender.forecast.situation import Observation, Situation
from recommender.forecast.warnings import is_permissive
from recommender.records import Decision, Start, TrialValue

TIED_CHANCE = 0.2  # a start that would end above the first one so often is not told apart from it
TIED_LOSS = 0.02  # mAP; nor does it matter: another seed moves a result by as much
MOST_TRIALS = 5
WORTH_TRYING = 0.002  # mAP; less than this is not worth a sentence
TIE_RULE = "full before freeze, then a permissive licence, then the smaller model"


def decide(
    ranked: Sequence[StartForecast],
    history: Sequence[Observation],
    *,
    scales: PriorScales | None = None,
    hours: Mapping[Start, float] | None = None,
) -> Decision:
    """The decision for `ranked` starts, best first; `hours` of a full training by start, where they are known."""
    first = ranked[0]
    rivals = [forecast for forecast in ranked if not trained_on_target(forecast.situation.evidence)]
    tied = [forecast for forecast in rivals if _is_tied(forecast, first)] or [first]
    ordered = sorted(tied, key=lambda forecast: _preference(forecast.situation))
    return Decision(
        start=first.situation.start,
        expected_loss=first.expected_loss,
        num_starts=len(rivals) or len(ranked),
        tied=tuple(forecast.situation.start for forecast in ordered),
        tie_rule=TIE_RULE,
        trials=_trials(tied[:MOST_TRIALS], history, scales or PriorScales(), hours or {}),
    )


def _is_tied(forecast: StartForecast, first: StartForecast) -> bool:
    lost = forecast.expected_loss - first.expected_loss
    return forecast is first or (lost <= TIED_LOSS and forecast.p_beats_first >= TIED_CHANCE)


def _preference(situation: Situation) -> tuple[bool, bool, float]:
    checkpoint = situation.checkpoint
    permissive = checkpoint is None or is_permissive(checkpoint)
    size = (checkpoint.num_parameters if checkpoint else None) or math.inf
    return situation.start.mode == "freeze", not permissive, size


def _trials(
    tied: Sequence[StartForecast],
    history: Sequence[Observation],
    scales: PriorScales,
    hours: Mapping[Start, float],
) -> TrialValue | None:
    """The expected gain by training those of the tied starts that the policy would train, and keeping the best.

    None where one of them was trained: the answer rests on what came out, and this gain counts none of it as in hand.
    """
    if any(_was_trained(forecast.situation, history) for forecast in tied):
        return None
    race = Race(
        history=tuple(history),
        candidates=tuple(forecast.situation for forecast in tied),
        trial_epochs=tied[0].situation.budget.epochs,
        scales=scales,
    )
    chosen = worth_training(race)
    if len(chosen) < 2:
        return None
    candidates = tuple(race.candidates[i] for i in chosen)
    belief = posterior(race.history, candidates, scales).of_one_training(scales)
    best = float(belief.samples(NUM_DRAWS, seed=0).max(axis=1).mean())
    # No more than the loss that it makes good.
    gain = min(scales.loss_share * (best - float(belief.expected_scores().max())), tied[0].expected_loss)
    if gain < WORTH_TRYING:
        return None
    starts = tuple(candidate.start for candidate in candidates)
    return TrialValue(
        starts=starts,
        gain=gain,
        cost=sum(relative_cost(candidate) for candidate in candidates),
        hours=sum(hours[start] for start in starts) if all(start in hours for start in starts) else None,
    )


def _was_trained(situation: Situation, history: Sequence[Observation]) -> bool:
    """True if this start was trained to the end on these data at this budget."""
    asked = (situation.target.dataset_hash, situation.start, situation.budget, situation.num_train_images)
    return any(
        one.partial is None
        and asked
        == (
            one.situation.target.dataset_hash,
            one.situation.start,
            one.situation.budget,
            one.situation.num_train_images,
        )
        for one in history
    )
