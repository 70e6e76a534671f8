"""The four lines that come first: what to start from, how sure that is, what is as good, and the command to run."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.forecast.calibration import DEAD
from recommender.forecast.rules import trained_on_target
from recommender.forecast.warnings import FEW_VAL
from recommender.records import SCRATCH, Interval, Mode, RankedStart, Recommendation
from recommender.tasks import task_definition
from recommender.text import counted, printable, two_figures

NAMED = 2  # tied starts that are named; the others are counted
MODE_WORDS: dict[Mode, str] = {
    "full": "all layers trained",
    "freeze": "backbone frozen",
    "scratch": "random weights",
}
UNSUPPORTED_CODE = "budget_unsupported"
UNSUPPORTED = "No run is near this budget: trust the order, not the numbers."
LABELS = {"start": "Start from", "chance": "Chance", "tied": "Tied", "command": "Run"}


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One sentence or command for each of `LABELS`, in its order."""

    start: str
    chance: str
    tied: str
    command: str


def headline(recommendation: Recommendation) -> Headline:
    """The answer in four lines; every number in them is the one in the table."""
    first = recommendation.ranking[0]
    label = task_definition(recommendation.task).metric.label
    return Headline(
        start=_start(recommendation, first, label),
        chance=_chance(recommendation, first, label),
        tied=_tied(recommendation, label),
        command=recommendation.train_command,
    )


def spread(interval: Interval) -> str:
    """`0.53 (0.48–0.59)`."""
    return f"{interval.mean:.2f} ({interval.low:.2f}–{interval.high:.2f})"


def loss(expected: float) -> str:
    """A loss to two digits; what rounds to nothing is below the last."""
    return "less than 0.01" if expected < 0.005 else f"{expected:.2f}"


def _start(recommendation: Recommendation, first: RankedStart, label: str) -> str:
    imgsz = first.imgsz or recommendation.budget.imgsz
    said = f"{printable(first.start)} at {imgsz} px, {MODE_WORDS[first.start.mode]}; "
    said += f"{label} {spread(first.score)} expected"
    if first.hours is not None:
        said += f" after about {_hours(first.hours)} of training"
    if first.latency_ms is not None:  # the device that was named is the reason for this start
        about = "" if first.latency_basis == "measured" else "about "
        said += f", {about}{first.latency_ms:.3g} ms an image"
    alone = next((notice for notice in recommendation.warnings if notice.code == "only_scratch"), None)
    return said if alone is None else f"{alone.message} {said[0].upper()}{said[1:]}."


def _chance(recommendation: Recommendation, first: RankedStart, label: str) -> str:
    num_starts = recommendation.decision.num_starts
    if num_starts == 1:
        return "no choice was made: there is nothing to compare it with"
    num_val = recommendation.profile.num_images.val
    unsure = f"; {counted(num_val, 'val image')} can hardly show which is" if num_val < FEW_VAL else ""
    return (
        f"{first.p_best:.0%} to be the best of {counted(num_starts, 'start')}; "
        f"choosing it is expected to lose {loss(first.expected_loss)} {label} against the best{unsure}"
    )


def _tied(recommendation: Recommendation, label: str) -> str:
    decision = recommendation.decision
    if _is_dead(recommendation):
        return (
            f"nothing can be told apart at this budget: no start is likely to reach {DEAD} {label}; "
            "train for longer or on larger images"
        )
    places = {row.start: place for place, row in enumerate(recommendation.ranking)}  # --top leaves rows out
    others = (start for start in decision.tied if start != decision.start)
    tied = sorted(others, key=lambda start: places.get(start, len(places)))
    if tied:
        named = ", ".join(printable(start) for start in tied[:NAMED])
        more = f" and {len(tied) - NAMED} more" if len(tied) > NAMED else ""
        return f"cannot be told apart from it: {named}{more}"
    if decision.num_starts == 1:
        return "nothing: it is the only start"
    rivals = [
        row
        for row in _offered(recommendation)
        if row.start != decision.start and row.start.checkpoint != SCRATCH
    ]
    if not rivals:
        return "nothing: scratch is behind"
    behind = rivals[0].expected_loss - recommendation.ranking[0].expected_loss
    return f"nothing; the next, {printable(rivals[0].start)}, is expected to end {loss(behind)} lower"


def _offered(recommendation: Recommendation) -> list[RankedStart]:
    """The rows that an answer offers: what was trained on the target's images shows nothing by its score there."""
    return [row for row in recommendation.ranking if not trained_on_target(row.evidence)]


def _is_dead(recommendation: Recommendation) -> bool:
    """True where no start is likely to get anywhere, so that an order, and trials too, would show chance alone."""
    highest = max((row.score.high for row in _offered(recommendation)), default=1.0)
    return recommendation.decision.num_starts > 1 and highest < DEAD


def trials_worth(recommendation: Recommendation) -> str | None:
    """The expected gain of trying the tied starts, as a sentence; None where it is not worth it."""
    value = recommendation.decision.trials
    if value is None or _is_dead(recommendation):
        return None
    label = task_definition(recommendation.task).metric.label
    # In hours where a speed is known: a training of a large network is many of the small one that costs count in.
    cost = (
        f"{value.cost:.1f} full trainings of YOLO11n's size"
        if value.hours is None
        else f"some {_hours(value.hours)}"
    )
    return (
        f"To be surer, train the {len(value.starts)} that lead and keep the best: expected to win back "
        f"{value.gain:.3f} {label} of that loss, for {cost}."
    )


def _hours(hours: float) -> str:
    minutes = 60 * hours
    return f"{max(minutes, 1):.0f} min" if minutes < 59.5 else f"{two_figures(hours)} h"


def about(recommendation: Recommendation) -> str:
    """The question in one sentence without its full stop: images, objects, classes, budget and limits."""
    profile, budget, counts = recommendation.profile, recommendation.budget, recommendation.profile.num_images
    task = task_definition(recommendation.task)
    held_back = f" + {counts.test} test" if counts.test else ""
    objects = "" if task.whole_images else f"{counted(profile.num_objects, task.one_object)}, "
    device = f" for {recommendation.device}" if recommendation.device else ""
    limits = f", within {' and '.join(recommendation.limits)}" if recommendation.limits else ""
    return (
        f"{counts.train} train + {counts.val} val{held_back} images, {objects}"
        f"{counted(len(profile.class_names), 'class')}; full training of {counted(budget.epochs, 'epoch')} at "
        f"{budget.imgsz} px{device}{limits}; forecast from {recommendation.method}"
    )
