"""Chooses the public checkpoints, not on this machine, that are worth a row of the answer.

Some sixty of them differ by less than another seed would move a result. Two rules keep the table readable. One start
stands for its family, source and mode: within a limit on the device the best, else the smallest of those that are
hardly worse. And where no limit is named, a start to be fetched must promise something over what is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recommender.costs.image_sizes import CostOf, operations
from recommender.forecast.gaussian_process import posterior
from recommender.forecast.kernels import PriorScales
from recommender.forecast.rules import trained_on_target
from recommender.forecast.situation import Observation, Situation
from recommender.records import Notice, OmittedStart
from recommender.requests import RecommendRequest
from recommender.text import counted, printable

WORTH = 0.01  # of the task's metric: less than this a larger relative does not bring
# What is here was measured on the data set; a table's word for sets this small is not (RF100-VL: YOLO11 n to x +.009).
WORTH_FETCHING = 0.03


def omit_starts(
    situations: Sequence[Situation],
    history: Sequence[Observation],
    scales: PriorScales,
    *,
    request: RecommendRequest,
    cost_of: CostOf,
) -> tuple[tuple[Situation, ...], tuple[OmittedStart, ...]]:
    """The situations that take part in the ranking, and the starts that others stand for. Named starts all stay."""
    if request.checkpoints or all(_is_here(one) for one in situations):
        return tuple(situations), ()
    means_N = posterior(history, situations, scales).expected_scores()
    expected = {one: float(mean) for one, mean in zip(situations, means_N, strict=True)}
    limited = request.max_latency is not None or request.max_memory is not None
    best_here = max(_rivals(situations), key=lambda one: expected[one], default=None)
    unpromising: dict[Situation, Situation] = {}
    if best_here is not None and best_here.checkpoint is not None and not request.chooses:
        for one in expected:
            if not _is_here(one) and expected[one] <= expected[best_here] + WORTH_FETCHING:
                unpromising[one] = best_here
    # Only then the families: none may be left out for a relative that is left out itself.
    promising = {one: score for one, score in expected.items() if one not in unpromising}
    representatives = unpromising | _best_of_families(promising, worth=0.0 if limited else WORTH)
    omitted = tuple(
        OmittedStart(
            **vars(one.start),
            **vars(cost_of(one)),
            imgsz=one.budget.imgsz,
            score=expected[one],
            instead=representatives[one].start,
            instead_score=expected[representatives[one]],
        )
        for one in sorted(representatives, key=lambda one: (-expected[one], one.start))
    )
    return tuple(one for one in situations if one not in representatives), omitted


def rescored(
    omitted: Sequence[OmittedStart],
    situations: Sequence[Situation],
    kept: Sequence[Situation],
    history: Sequence[Observation],
    scales: PriorScales,
) -> tuple[OmittedStart, ...]:
    """The omitted starts with the scores that a history with trials gives them, and the best that is here by these."""
    both = (*situations, *kept)
    means_N = posterior(history, both, scales).expected_scores()
    expected = {one.start: float(mean) for one, mean in zip(both, means_N, strict=True)}
    here = {one.start for one in kept if _is_here(one)}
    best_here = max(_rivals(kept), key=lambda one: expected[one.start], default=None)
    anew = []
    for one in omitted:
        instead = best_here.start if best_here is not None and one.instead in here else one.instead
        anew.append(replace(one, score=expected[one.start], instead=instead, instead_score=expected[instead]))
    return tuple(sorted(anew, key=lambda one: (-one.score, one.start)))


def omitted_notes(omitted: Sequence[OmittedStart], situations: Sequence[Situation]) -> tuple[Notice, ...]:
    """The number of starts left out of the table, and why."""
    here = {one.start for one in situations if _is_here(one)}
    unfetched = [one for one in omitted if one.instead in here]
    larger = sorted({printable(one.instead.checkpoint) for one in omitted if one not in unfetched})
    said = []
    if unfetched:
        most = max(unfetched, key=lambda one: one.score)
        more, instead = round(most.score - most.instead_score, 3), printable(most.instead)
        ends = (
            f"expected to end at most {more:.3f} above {instead} ({printable(most.start)} is)."
            if more > 0
            else f"none is expected to end above {instead}."
        )
        said.append(
            f"{counted(len(unfetched), 'start')} from public checkpoints that would have to be fetched: {ends}"
        )
    if larger:
        said.append(
            f"{counted(len(omitted) - len(unfetched), 'start')} from relatives of {', '.join(larger[:4])}"
            f"{' and others' if len(larger) > 4 else ''}: the same families in other sizes or trained otherwise, "
            f"expected to bring less than {WORTH} more."
        )
    if not said:
        return ()
    hint = "--expand names them" + (", --all ranks the best of each family." if unfetched else ".")
    return (Notice(code="folded", message=f"Not in the table: {' '.join(said)}", hint=hint),)


def _best_of_families(expected: dict[Situation, float], *, worth: float) -> dict[Situation, Situation]:
    """The start that stands for each to be fetched: the smallest of its family that loses at most `worth`."""
    families: dict[tuple[str | None, ...], list[Situation]] = {}
    for one in expected:
        checkpoint = one.checkpoint
        if checkpoint is not None and not checkpoint.available:
            key = (checkpoint.family, checkpoint.source_name, one.start.mode)
            families.setdefault(key, []).append(one)
    found: dict[Situation, Situation] = {}
    for members in families.values():
        most = max(expected[one] for one in members)
        enough = [one for one in members if expected[one] >= most - worth]
        smallest = min(enough, key=lambda one: (_operations(one), -expected[one], one.start))
        found |= {one: smallest for one in members if one is not smallest}
    return found


def _operations(situation: Situation) -> float:
    known = operations(situation.checkpoint) if situation.checkpoint else None
    return float(np.inf) if known is None else known


def _rivals(situations: Sequence[Situation]) -> list[Situation]:
    """The starts that are here and may be advised."""
    return [one for one in situations if _is_here(one) and not trained_on_target(one.evidence)]


def _is_here(situation: Situation) -> bool:
    return situation.checkpoint is None or situation.checkpoint.available
