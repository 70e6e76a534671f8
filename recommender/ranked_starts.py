"""The rows of an answer: from forecasts to ranked starts, with their costs, sizes, settings and trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recommender.checkpoints import REFERENCE_NAMES
from recommender.costs.image_sizes import SizeForecast
from recommender.costs.start_costs import compared_by, download_mb, front
from recommender.forecast.ranking import StartForecast
from recommender.forecast.reasons import reasons
from recommender.forecast.rules import trained_on_target
from recommender.forecast.situation import Observation, Situation, from_scale, to_scale
from recommender.recipe_axes import SettingGain, advised
from recommender.records import SCRATCH, Cost, RankedStart, Run, SizeOption, Start, TrialResult


def ranked_starts(
    ranked: Sequence[StartForecast],
    history: Sequence[Observation],
    *,
    runs: Mapping[Start, Run],
    options: Mapping[Start, tuple[SizeForecast, ...]],
    tried: Mapping[Start, Sequence[SettingGain]],
) -> tuple[RankedStart, ...]:
    """The rows of all starts; `runs` are trials to show, `tried` the settings of all runs on this data set."""
    options_of = [options.get(forecast.situation.start, ()) for forecast in ranked]
    chosen = [_chosen_option(forecast.situation, of) for forecast, of in zip(ranked, options_of, strict=True)]
    costs = [option.cost if option else Cost() for option in chosen]
    leading = _leading(ranked, costs)
    rows = []
    for i, forecast in enumerate(ranked):
        situation, checkpoint = forecast.situation, forecast.situation.checkpoint
        setting, trial = advised(tried.get(situation.start, ())), runs.get(situation.start)
        row = RankedStart(
            **vars(situation.start),
            **vars(costs[i]),
            rank=i + 1,
            score=forecast.score,
            p_best=forecast.p_best,
            expected_loss=forecast.expected_loss,
            gain_over_scratch=forecast.gain_over_scratch,
            evidence=situation.evidence,
            reasons=reasons(forecast, history),
            available=checkpoint is None or checkpoint.available,
            architecture=checkpoint.architecture if checkpoint else None,
            imgsz=situation.budget.imgsz,
            fetch_mb=None if checkpoint is None or checkpoint.available else download_mb(checkpoint),
            on_front=i in leading,
            sizes=_size_options(forecast, options_of[i]),
            learning_rate=setting.learning_rate,
            freeze=setting.freeze,
            trial=_trial_result(trial) if trial else None,
        )
        rows.append(row)
    return tuple(rows)


def _leading(ranked: Sequence[StartForecast], costs: Sequence[Cost]) -> frozenset[int]:
    """The places of the starts on the Pareto front of score and cost."""
    axis = compared_by(costs)
    return front(
        [
            (one.score.mean, None if trained_on_target(one.situation.evidence) else getattr(cost, axis))
            for one, cost in zip(ranked, costs, strict=True)
        ]
    )


def first_rows(rows: Sequence[RankedStart], top: int | None) -> tuple[RankedStart, ...]:
    """The first `top` rows with their true ranks; scratch, the best of COCO and the best here always appear."""
    best_here = next((row.rank for row in rows if row.available), None)
    best_coco = next((row.rank for row in rows if row.start.checkpoint in REFERENCE_NAMES), None)
    return tuple(
        row
        for row in rows
        if top is None
        or row.rank <= top
        or row.rank in (best_coco, best_here)
        or row.start.checkpoint == SCRATCH
    )


def _trial_result(run: Run) -> TrialResult:
    return TrialResult(
        run=run.id,
        status=run.status,
        epochs=len(run.curve),
        score=run.score,
        seconds=run.seconds,
    )


def _chosen_option(situation: Situation, options: Sequence[SizeForecast]) -> SizeForecast | None:
    """The option that is this situation; None for situations made by hand."""
    return next((option for option in options if option.situation.budget == situation.budget), None)


def _size_options(forecast: StartForecast, options: Sequence[SizeForecast]) -> tuple[SizeOption, ...]:
    """The start at every image size looked at; none where one was given."""
    if len(options) < 2:
        return ()
    chosen = next(o for o in options if o.situation.budget == forecast.situation.budget)
    level = to_scale(forecast.score.mean) - chosen.gain
    return tuple(
        SizeOption(
            **vars(option.cost),
            imgsz=option.situation.budget.imgsz,
            score=forecast.score.mean if option is chosen else _score(level + option.gain),
            allowed=option.allowed,
        )
        for option in options
    )


def _score(value: float) -> float:
    """A value on the model's scale as a score."""
    return float(from_scale(np.array([value]))[0])
