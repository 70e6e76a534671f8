"""Reasons for a start's rank, in plain words taken from its evidence and from past runs."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from recommender.evidence import ESTIMATORS
from recommender.forecast.budget import gain_share
from recommender.forecast.ranking import StartForecast
from recommender.forecast.situation import Observation, Situation
from recommender.profile import NOTHING_SIMILAR
from recommender.records import Budget, RankedStart, Start
from recommender.tasks import task_change, task_definition
from recommender.text import counted

RELATED = 0.5  # half the squared distance of sets that have nothing in common
# Shares of what random weights come to learn: below the first, recorded runs reach a tenth of the best start's score;
# above the second, a third and up to all of it.
LITTLE_LEARNT, MUCH_LEARNT = 0.25, 0.9


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
    trials = counted(num_trials, "trial")
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
        f"{row.start} reached {row.trial.score:.3f} in {counted(row.trial.epochs, 'epoch')}"
        for row in sorted(after, key=lambda row: row.start != now.start)
        if row.start in (now.start, first.start) and row.trial is not None and row.trial.score is not None
    ]
    shown = f" ({', '.join(reached)})" if reached else ""
    done = "" if ended else " Another trial is not expected to be worth its cost."
    return f"{said}{shown}.{until}{done}"


def _scratch(forecast: StartForecast) -> list[str]:
    situation = forecast.situation
    seen = situation.num_train_images * situation.budget.epochs
    learnt = gain_share(situation)
    if learnt < LITTLE_LEARNT:
        said = "too few to learn from nothing"
    else:
        said = "enough to learn much" if learnt >= MUCH_LEARNT else "enough to begin to learn"
    return [f"random weights; it would see {counted(seen, 'image')} in all, {said}"]


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
    are = "is" if own == 1 else "are"
    return [f"{own} of the {len(nearest)} known objects nearest to yours {are} from them"] if own else []


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
    text = f"trained on {counted(checkpoint.source_images, 'image')}{alone}"
    if checkpoint.source_score is not None:
        label = task_definition(checkpoint.task).metric.label
        text += f", where it reached {label} {checkpoint.source_score:.2f}"
    return [text]


def _past(situation: Situation, history: Sequence[Observation]) -> list[str]:
    """The share of the other starts that the same start beat on past targets, each at the budgets it was trained at."""
    by_target = _shares_beaten(tuple(history)).get(situation.start, {})
    shares = [share for target, share in by_target.items() if target != situation.target.dataset_hash]
    if not shares:
        return []
    return [
        f"on {counted(len(shares), 'other data set')} it beat {sum(shares) / len(shares):.0%} of the other starts"
    ]


@functools.lru_cache(maxsize=2)  # every row of an answer asks the same
def _shares_beaten(history: tuple[Observation, ...]) -> dict[Start, dict[str, float]]:
    """The share of the other starts that a start beat, by start and target's hash: the mean over budgets."""
    shares: dict[Start, dict[str, list[float]]] = {}
    for (target, *_), means in _means(history).items():
        for start, own in means.items():
            rest = [mean for other, mean in means.items() if other != start]
            if rest:
                beaten = sum(mean < own for mean in rest) / len(rest)
                shares.setdefault(start, {}).setdefault(target, []).append(beaten)
    return {
        start: {target: sum(values) / len(values) for target, values in by_target.items()}
        for start, by_target in shares.items()
    }


def _means(history: Sequence[Observation]) -> dict[tuple[str, Budget, int], dict[Start, float]]:
    """Mean scores of each start's seeds by target's hash, budget and number of train images.

    Results of different budgets are not compared, nor are those of trials that broke off.
    """
    found: dict[tuple[str, Budget, int], dict[Start, list[float]]] = {}
    for observation in history:
        if observation.partial is not None:
            continue
        situation = observation.situation
        case = (situation.target.dataset_hash, situation.budget, situation.num_train_images)
        found.setdefault(case, {}).setdefault(situation.start, []).append(observation.score)
    return {
        case: {start: sum(scores) / len(scores) for start, scores in by_start.items()}
        for case, by_start in found.items()
    }


def _mode(situation: Situation) -> list[str]:
    if situation.start.mode == "freeze":
        return ["backbone frozen: faster and less memory, but it cannot adapt"]
    return []
