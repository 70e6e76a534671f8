"""Reasons for a start's rank, in plain words taken from its evidence and from past runs."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from recommender.evidence import ESTIMATORS
from recommender.forecast.ranking import StartForecast
from recommender.forecast.situation import Observation, Situation
from recommender.profile import NOTHING_SIMILAR
from recommender.records import RankedStart, Start
from recommender.tasks import task_change, task_definition
from recommender.text import counted

RELATED = 0.5  # half the squared distance of sets that have nothing in common


def reasons(forecast: StartForecast, history: Sequence[Observation]) -> tuple[str, ...]:
    """At most six short sentences, the weightiest first."""
    situation = forecast.situation
    if situation.checkpoint is None:
        return (*_scratch(forecast), *_past(situation, history))
    said = [
        *_similarity(situation),
        *_nearest(situation),
        *_transfer(situation),
        *_size(situation),
        *_past(situation, history),
        *_mode(situation),
    ]
    return tuple(said[:6])


def trials_sentence(
    before: Sequence[RankedStart], after: Sequence[RankedStart], num_trials: int, *, ended: str | None
) -> str:
    """The change of the answer by trials, and why they stopped: one or two sentences."""
    first, now = before[0], after[0]
    until = f" Trials ended: {ended}." if ended else ""
    if not num_trials:
        return (
            f"No trial counts.{until}"
            if ended
            else f"No trial was run: none is expected to improve the choice of {first.start} enough to be worth it."
        )
    trials = f"{num_trials} trial{'s' * (num_trials > 1)}"
    if now.start == first.start:
        change = f"from {first.p_best:.0%} to {now.p_best:.0%}"
        said = (
            f"{trials} kept the answer: {now.start} stays first, its probability to be the best went {change}"
        )
    else:
        said = (
            f"{trials} changed the answer: {first.start} was first with a probability of {first.p_best:.0%} to be the "
            f"best, now it is {now.start} with {now.p_best:.0%}"
        )
    reached = [
        f"{row.start} reached {row.trial.score:.3f} in {_epochs(row.trial.epochs)}"
        for row in sorted(after, key=lambda row: row.start != now.start)
        if row.start in (now.start, first.start) and row.trial is not None and row.trial.score is not None
    ]
    shown = f" ({', '.join(reached)})" if reached else ""
    done = "" if ended else " Another trial is not expected to be worth its cost."
    return f"{said}{shown}.{until}{done}"


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def _scratch(forecast: StartForecast) -> list[str]:
    seen = forecast.situation.num_train_images * forecast.situation.budget.epochs
    text = f"random weights; it would see {seen:,} images in all"
    return [text + (", too few to learn from nothing" if seen < 100_000 else ", enough to learn much")]


def _similarity(situation: Situation) -> list[str]:
    evidence = situation.evidence
    if evidence.similarity is None:
        return ["its training data are not known here, so their similarity to yours is not known"]
    word = _degree(evidence.similarity)
    parts = [f"its training data are {word} yours (similarity {evidence.similarity:.2f}"]
    if evidence.object_similarity is not None:
        parts.append(f", objects {evidence.object_similarity:.2f}")
    return ["".join(parts) + ")"]


def _degree(similarity: float) -> str:
    if similarity >= NOTHING_SIMILAR:
        return "very similar to"
    return "somewhat similar to" if similarity >= RELATED else "unlike"


def _nearest(situation: Situation) -> list[str]:
    nearest, source, checkpoint = situation.evidence.nearest_sources, situation.source, situation.checkpoint
    if not nearest or source is None or checkpoint is None:
        return []
    own = nearest.count(source.dataset_name)
    return [f"{own} of the {len(nearest)} known objects nearest to yours are from them"] if own else []


def _transfer(situation: Situation) -> list[str]:
    evidence, said = situation.evidence, []
    classes = situation.target.class_names
    if evidence.weights_transferred is not None:
        said.append(
            f"{evidence.weights_transferred:.0%} of its weights fit your model{_other_task(situation)}"
        )
    if evidence.class_overlap is not None:
        known = round(evidence.class_overlap * len(classes))
        said.append(f"it knows {known} of your {counted(len(classes), 'class')}")
    said.extend(_untrained(situation))
    return ["; ".join(said)] if said else []


def _untrained(situation: Situation) -> list[str]:
    """One sentence for each score that is told in words."""
    metric = task_definition(situation.target.task).metric.label
    scores, seen = situation.evidence.scores, situation.evidence.source_images_seen
    flattered = f"; it has seen {seen:.0%} of your images" if seen else ""
    return [
        f"{row.said.format(metric=metric, score=scores[row.name])} "
        f"({'weighed' if row.sd else 'not weighed'}{flattered})"
        for row in ESTIMATORS
        if row.said and scores.get(row.name) is not None
    ]


def _other_task(situation: Situation) -> str:
    checkpoint = situation.checkpoint
    if checkpoint is None:
        return ""
    said = task_change(checkpoint.task, checkpoint.foreign_task, situation.target.task)
    return "" if said is None else f", which {said}"


def _size(situation: Situation) -> list[str]:
    checkpoint = situation.checkpoint
    if checkpoint is None or checkpoint.source_images is None:
        return []
    alone = " alone, from random weights" if checkpoint.from_scratch else ""
    text = f"trained on {checkpoint.source_images:,} images{alone}"
    if checkpoint.source_score is not None:
        label = task_definition(checkpoint.task).metric.label
        text += f", where it reached {label} {checkpoint.source_score:.2f}"
    return [text]


def _past(situation: Situation, history: Sequence[Observation]) -> list[str]:
    """The share of the other starts that the same start beat on past targets."""
    beaten, places = 0.0, 0
    for target, by_start in _scores(tuple(history)).items():
        if situation.start not in by_start or len(by_start) < 2 or target == situation.target.dataset_hash:
            continue
        own = max(by_start[situation.start])
        rest = [value for start, values in by_start.items() if start != situation.start for value in values]
        beaten += sum(value < own for value in rest) / len(rest)
        places += 1
    if not places:
        return []
    return [
        f"on {places} other data set{'s' * (places > 1)} it beat {beaten / places:.0%} of the other starts"
    ]


@functools.lru_cache(maxsize=2)  # every row of an answer asks the same
def _scores(history: tuple[Observation, ...]) -> dict[str, dict[Start, list[float]]]:
    """Results by target and start."""
    found: dict[str, dict[Start, list[float]]] = {}
    for observation in history:
        situation = observation.situation
        by_start = found.setdefault(situation.target.dataset_hash, {})
        by_start.setdefault(situation.start, []).append(observation.score)
    return found


def _mode(situation: Situation) -> list[str]:
    if situation.start.mode == "freeze":
        return ["backbone frozen: faster and less memory, but it cannot adapt"]
    return []
