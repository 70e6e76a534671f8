"""A comparison in words: three sentences, each with its number."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.comparison.catching_up import CatchUp
from recommender.comparison.comparison_input import ComparisonInput
from recommender.comparison.forecast_error import ForecastError
from recommender.comparison.noise import CARE, LEVEL, SeedNoise
from recommender.comparison.reasons import WorseStart
from recommender.comparison.rows import ComparisonRow, score_of
from recommender.comparison.sizes import SizeFinding
from recommender.records import Start
from recommender.text import counted, printable

TRAINED_ENOUGH = 0.05  # score under which the order of the starts says nothing about finished trainings


def sentences(
    rows: Sequence[ComparisonRow],
    noise: SeedNoise,
    catching_up: CatchUp | None,
    sizes: SizeFinding | None,
    losses: Sequence[WorseStart],
    forecast_error: ForecastError,
    metric: str,
) -> tuple[str, ...]:
    """At most three sentences. `rows` are of the largest share, the best first; `metric` is the label of scores."""
    if not rows:
        return ("No training came to its end, so there is nothing to compare: see what failed below.",)
    others = (
        _warning(losses),
        _modes(rows, noise, metric),
        None if sizes is None else f"{size_text(sizes)}.",
        _trust(forecast_error, metric),
        _quickest(rows, metric),
    )
    chosen = [_winner(rows, noise, metric), _scratch(rows, noise, catching_up)]
    chosen += [sentence for sentence in others if sentence is not None]
    return tuple(sentence for sentence in chosen if sentence is not None)[:3]


def noise_sentence(noise: SeedNoise, rows: Sequence[ComparisonRow], metric: str) -> str:
    """The spread by seeds, and the smallest difference beyond it, as a sentence."""
    if noise.deviation is None:
        return (
            "Seed noise was not measured (one finished seed for each start), so no difference here can be told from "
            "chance; --seeds 3 measures it."
        )
    counts = [row.score.seeds for row in rows]
    bound = noise.of_difference(min(counts), min(counts)) or 0.0
    return (
        f"The same start with another seed ends ±{noise.deviation:.3f} {metric} apart (standard deviation, pooled over "
        f"{counted(noise.freedom, 'degree')} of freedom); between means of {counted(min(counts), 'seed')}, "
        f"a difference under {bound:.3f} is seed noise ({LEVEL:.0%} level)."
    )


def next_step(comparison: ComparisonInput, rows: Sequence[ComparisonRow]) -> str | None:
    """The next step with the first of `rows`, its commands between backticks; None where none has learnt enough."""
    if not rows or rows[0].score.mean < TRAINED_ENOUGH:
        return None
    start = printable(rows[0].start, limit=80)
    train = (
        f"`recommend train --dataset PATH --start {start} --imgsz {comparison.plan.imgsz}` trains it in full"
    )
    kept = [one for one in comparison.trained if one.run.id in rows[0].runs and one.evaluation is not None]
    if not kept:
        return f"{train}."
    best = max(kept, key=lambda one: score_of(comparison, one).score)
    return (
        f"{train}. Its best network of this comparison is `trained/{best.run.id}.safetensors` below RECOMMENDER_HOME: "
        "`recommend checkpoints add FILE --name NAME --dataset PATH` makes it a checkpoint, "
        "`recommend checkpoints export NAME best.pt` a file for ultralytics."
    )


def _winner(rows: Sequence[ComparisonRow], noise: SeedNoise, metric: str) -> str:
    best = rows[0]
    if best.score.mean < TRAINED_ENOUGH:
        return (
            f"No start has learnt enough to choose by: the best, {_name(best.start)}, is at {metric} "
            f"{best.score.words()}. Give it more --epochs, a larger --imgsz or more images before you decide."
        )
    head = f"{_name(best.start)}: {metric} {best.score.words()}"
    if len(rows) == 1:
        return f"The only start that finished is {head}."
    equals = [row for row in rows[1:] if noise.direction(best.score, row.score) == "same"]
    if equals:
        names = " and ".join(_name(row.start) for row in equals[:3])
        gap = best.score.mean - equals[0].score.mean
        return (
            f"{_name(best.start)} is ahead with {metric} {best.score.words()}, but {names} cannot be told apart from "
            f"it ({gap:.3f} behind, which is seed noise or too little to matter): {_choice(best, equals)}."
        )
    second = rows[1]
    gap = best.score.mean - second.score.mean
    fewest = min(best, second, key=lambda row: row.score.seeds)
    most = max(row.score.seeds for row in rows)
    if fewest.score.seeds < most:
        return (
            f"{head} is ahead, {gap:.3f} above {_name(second.start)}, but {_name(fewest.start)} has only "
            f"{fewest.score.seeds} of {most} seeds: let the others finish first."
        )
    if noise.deviation is None:
        return (
            f"Start from {head}, {gap:.3f} above {_name(second.start)}; with one seed this may be chance: "
            "--seeds 3 tells."
        )
    return f"Start from {head}, {gap:.3f} above {_name(second.start)}, more than seed noise explains."


def _choice(best: ComparisonRow, equals: Sequence[ComparisonRow]) -> str:
    """The start to take: among equals the one that is there clearly sooner, for times differ by chance as well."""
    quick = min(equals, key=lambda row: row.seconds_to_best.mean)
    spread = (quick.seconds_to_best.deviation or 0.0) + (best.seconds_to_best.deviation or 0.0)
    if quick.seconds_to_best.mean + max(spread, 0.1 * best.seconds_to_best.mean) < best.seconds_to_best.mean:
        times = _duration(quick.seconds_to_best.mean), _duration(best.seconds_to_best.mean)
        return f"take {_name(quick.start)}, which got there in {times[0]} instead of {times[1]}"
    return "any of them will do"


def _scratch(rows: Sequence[ComparisonRow], noise: SeedNoise, found: CatchUp | None) -> str | None:
    scratch = next((row for row in rows if row.start.mode == "scratch"), None)
    best = next((row for row in rows if row.start.mode != "scratch"), None)
    if scratch is None or best is None:
        return None
    gap = best.score.mean - scratch.score.mean
    if noise.direction(best.score, scratch.score) == "same":
        lead = f"Pretraining brings {gap:+.3f} over random weights here, which is seed noise or too little to matter"
    elif gap < 0:
        lead = (
            f"Pretraining does not pay: its best, {_name(best.start)}, ends {-gap:.3f} below random weights"
        )
    else:
        lead = f"Pretraining brings {gap:+.3f} over random weights ({scratch.score.words()}){_unsure(noise)}"
    return f"{lead}; {catch_up_text(found)}." if found is not None else f"{lead}."


def catch_up_text(found: CatchUp) -> str:
    """The catch-up epoch in words."""
    if found.kind == "reached":
        low, high = found.low or 0.0, found.high or 0.0
        span = "" if low == high else f" ({low:.0f} to {high:.0f} over seeds)"
        return f"scratch reached the best pretrained start's {found.goal:.3f} in epoch {found.epoch or 0:.0f}{span}"
    if found.kind == "extrapolated":
        until = f"{found.high:,.0f}" if found.high is not None else f"more than {10 * found.budget:,}"
        return (
            f"scratch would catch up after about {counted(round(found.epoch or 0), 'epoch')} (80 % interval "
            f"{found.low or 0:,.0f} to {until}, extrapolated), so not within your budget of {found.budget}"
        )
    if found.kind == "not within your budget":
        return (
            f"scratch does not catch up within your budget of {counted(found.budget, 'epoch')}, nor, as its curve goes "
            f"({found.share_never or 0:.0%} of the extrapolations), within ten times as many"
        )
    return (
        f"scratch does not catch up within your budget of {counted(found.budget, 'epoch')}: it reached "
        f"{found.reached:.3f} of {found.goal:.3f}, too little of a curve to say when it would"
    )


def _warning(losses: Sequence[WorseStart]) -> str | None:
    worst = next((loss for loss in losses if loss.to_scratch), None) or next(iter(losses), None)
    if worst is None:
        return None
    against = "random weights" if worst.to_scratch else _name(worst.winner.start)
    reason = worst.reasons[0].text
    return f"Do not start from {_name(worst.row.start)}: {worst.gap:.3f} below {against}; first suspect: {reason}"


def _modes(rows: Sequence[ComparisonRow], noise: SeedNoise, metric: str) -> str | None:
    """The cost and the saving of freezing, for the best checkpoint that was tried both ways."""
    by_start = {row.start: row for row in rows}
    for row in rows:
        other = by_start.get(Start(checkpoint=row.start.checkpoint, mode="freeze"))
        if row.start.mode != "full" or other is None:
            continue
        gap = other.score.mean - row.score.mean
        saved = 1 - other.seconds.mean / row.seconds.mean if row.seconds.mean else 0.0
        same = noise.direction(other.score, row.score) == "same"
        noted = " (seed noise)" if same else _unsure(noise)
        return (
            f"Freezing the backbone of {printable(row.start.checkpoint)} changes {metric} by {gap:+.3f}{noted} and "
            f"training time by {-saved:+.0%}."
        )
    return None


def size_text(sizes: SizeFinding) -> str:
    """The size below which pretraining matters, in words."""
    smallest, largest = sizes.gains[0], sizes.gains[-1]
    if sizes.kind == "everywhere":
        return (
            f"Pretraining matters at every size tried, from {smallest.train_images:,} training images "
            f"({smallest.gain:+.3f}) to {largest.train_images:,} ({largest.gain:+.3f})"
        )
    if sizes.kind == "nowhere":
        return (
            f"Pretraining brings nothing beyond noise at any size tried, from {smallest.train_images:,} to "
            f"{largest.train_images:,} training images"
        )
    if sizes.kind == "below":
        return f"Pretraining matters below about {sizes.train_images or 0:,} training images"
    return (
        f"Pretraining shows only from {sizes.train_images or 0:,} training images up: with fewer, no start learns "
        "enough to differ"
    )


def _trust(forecast_error: ForecastError, metric: str) -> str | None:
    """Sentence on whether the forecast may be followed without such a comparison next time."""
    if forecast_error.first_choice is None or forecast_error.regret is None:
        return None
    cost = (
        "which was the best"
        if forecast_error.regret <= 0
        else f"which costs {forecast_error.regret:.3f} {metric}"
    )
    return (
        f"The forecast made before the runs would have taken {_name(forecast_error.first_choice)}, {cost}; "
        f"{forecast_error.num_inside} of {len(forecast_error.outcomes)} outcomes lay within its 80 % intervals."
    )


def _quickest(rows: Sequence[ComparisonRow], metric: str) -> str | None:
    learning = [row for row in rows if not _began_at_its_best(row)]
    if len(rows) < 2 or not learning:
        return None
    quickest = min(learning, key=lambda row: row.seconds_to_best.mean)
    return (
        f"The quickest to its best was {_name(quickest.start)}: {_duration(quickest.seconds_to_best.mean)} for "
        f"{metric} {quickest.score.words()}."
    )


def _unsure(noise: SeedNoise) -> str:
    """The caveat of a difference where the spread by seeds was not measured."""
    return " (one seed: this may be chance)" if noise.deviation is None else ""


def _began_at_its_best(row: ComparisonRow) -> bool:
    """True if training brought a start nothing, so that it was quick at nothing."""
    start = row.starting
    return (
        start.measured_on == "target" and start.score is not None and start.score >= row.val_score.mean - CARE
    )


def _name(start: Start) -> str:
    return "random weights" if start.mode == "scratch" else printable(start, limit=80)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
