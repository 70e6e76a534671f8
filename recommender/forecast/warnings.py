"""Warnings and notes about this target and these starts, before any training."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.checkpoints import RECOVERED_FROM
from recommender.forecast.budget import distinct_images, gain_share
from recommender.forecast.ranking import StartForecast
from recommender.forecast.reasons import LITTLE_LEARNT
from recommender.forecast.rules import TRAINED_ON_SHARE, head_start, leaks, source_unknown, trained_on_target
from recommender.forecast.situation import Situation
from recommender.profile import NOTHING_SIMILAR
from recommender.records import SCRATCH, Checkpoint, Notice
from recommender.tasks import task_change, task_definition
from recommender.text import counted, printable

BROAD_ANCESTOR = 100_000  # images: COCO, from which nearly all weights descend
BROAD_SOURCE = 500_000  # images: ImageNet, Open Images, Objects365
SMALL_BATCH_IMAGES = 16  # below one usual batch, batch norm sees fewer than it needs
FEW_VAL = 10  # images below which a score on them says little
# Share of distinct images below which a data set is said to repeat itself; plain textures, only alike, come to a half.
MOSTLY_REPEATS = 0.4
NO_GAIN = 0.02  # mAP within which a pretrained start counts as no better than scratch
FAR_BEHIND = (
    0.1  # mAP from which on scratch is warned of; recorded gaps differ from forecast ones by half of it
)
PERMISSIVE = (
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC-BY-4.0",
    "CC0-1.0",
    "ISC",
    "Unlicense",
    "public domain",
)


def is_permissive(checkpoint: Checkpoint) -> bool:
    """True if the licences of weights and data are known and ask for no more than attribution."""
    known = {name.casefold() for name in PERMISSIVE}
    return all(
        (licence or "").casefold() in known for licence in (checkpoint.licence, checkpoint.source_licence)
    )


def warnings(
    forecasts: Sequence[StartForecast],
    *,
    batch: int = 16,
    scratch_asked: bool = False,
    level_supported: bool = True,
    any_runs: bool = True,
) -> tuple[Notice, ...]:
    """All warnings about a ranking, the most pressing first. None of them is true of every ranking."""
    asked = forecasts[0].situation
    found = (
        None if level_supported else _unsupported(asked, any_runs),
        *_leaks(forecasts),
        _ancestors_leak(forecasts),
        _unknown_sources(forecasts),
        _nothing_similar(forecasts),
        _negative(forecasts),
        _small_for_scratch(forecasts, scratch_asked),
        _small_batch(asked, batch),
        _few_val(asked),
        _repeated(asked),
        _unknown_licence(forecasts),
    )
    return tuple(notice for notice in found if notice is not None)


def notes(forecasts: Sequence[StartForecast]) -> tuple[Notice, ...]:
    """Notes, which are no faults: the licence that comes with the first start, and what takes the place of others."""
    licence = _licence(forecasts)
    return (*_made_for_another_task(forecasts), *([licence] if licence else []), *_recovered(forecasts))


def only_scratch(forecasts: Sequence[StartForecast], *, permissive_only: bool) -> tuple[Notice, ...]:
    """Said first where no pretrained start is in the race, so that there was nothing to choose."""
    if any(o.situation.checkpoint for o in forecasts):
        return ()
    if permissive_only:
        message = (
            "No pretrained start here is under a permissive licence, so only scratch is left to start from."
        )
        return (Notice(code="only_scratch", message=message, hint="--licence any shows the others."),)
    return (Notice(code="only_scratch", message="Scratch is the only start in this question."),)


def _unsupported(situation: Situation, any_runs: bool) -> Notice:
    budget = situation.budget
    size = f"{counted(situation.num_train_images, 'image')}, {counted(budget.epochs, 'epoch')}"
    task = task_definition(situation.target.task).name_in_full
    lacking = "no run supports" if any_runs else f"the order rests on rules alone: no run of {task} supports"
    return Notice(
        code="budget_unsupported",
        message=f"{lacking} this budget ({size} at {budget.imgsz} px); trust the order, not the level. "
        "Every training you run here adds support.",
    )


def _unknown_sources(forecasts: Sequence[StartForecast]) -> Notice | None:
    unknown = sorted(
        {printable(o.situation.start.checkpoint) for o in forecasts if source_unknown(o.situation)}
    )
    if not unknown:
        return None
    more = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
    return Notice(
        code="unknown_source",
        message=f"nothing is known of what {', '.join(unknown[:6])}{more} was trained on: it counts as a usual "
        "source, no better. Name its data set (`recommend checkpoints add FILE --dataset PATH`) to have it judged.",
    )


def _leaks(forecasts: Sequence[StartForecast]) -> list[Notice]:
    notices = {}
    for forecast in forecasts:
        if leaks(forecast.situation):
            seen = forecast.situation.evidence.source_images_seen or 0.0
            name = forecast.situation.start.checkpoint
            notices[name] = Notice(
                code="leak",
                message=f"{printable(name)} was trained on {seen:.0%} of your images: its score on your validation "
                "images would be flattering, so its similarity counts for nothing. Score it on images it has not seen.",
            )
    return list(notices.values())


def _ancestors_leak(forecasts: Sequence[StartForecast]) -> Notice | None:
    """Named where few of the target's images are in their own source, but many in one of an ancestor."""
    pretrained = [o.situation for o in forecasts if o.situation.checkpoint]
    seen = {
        o.checkpoint.source_hash: o.evidence.source_images_seen or 0.0
        for o in pretrained
        if o.checkpoint and (o.checkpoint.source_images or 0) < BROAD_ANCESTOR
    }
    seen[forecasts[0].situation.target.dataset_hash] = 1.0
    steps = {
        o.start.checkpoint: (o.checkpoint and o.checkpoint.lineage) or () for o in pretrained if not leaks(o)
    }
    names = [
        name
        for name, before in sorted(steps.items())
        if any(seen.get(step.source_hash, 0.0) >= TRAINED_ON_SHARE for step in before)
    ]
    if not names:
        return None
    return Notice(
        code="ancestor_leak",
        message=f"{_named(names)} descends from weights that were trained on your images: its score on your "
        "validation images may be flattering.",
    )


def _nothing_similar(forecasts: Sequence[StartForecast]) -> Notice | None:
    known = [
        o.situation.evidence.similarity
        for o in forecasts
        if o.situation.evidence.similarity is not None
        and not leaks(o.situation)  # one's own images say nothing about similarity
    ]
    pretrained = any(o.situation.checkpoint for o in forecasts)
    if not pretrained or any(map(_broad_but_not_compared, forecasts)):
        return None
    if known and max(known) >= NOTHING_SIMILAR:
        return None
    best = (
        f" (the best similarity is {max(known):.2f}; very similar begins at {NOTHING_SIMILAR:.2f})"
        if known
        else ""
    )
    return Notice(
        code="nothing_similar",
        message=f"No checkpoint here was trained on data very similar to yours{best}: the order rests on "
        "general experience. Add a checkpoint trained on similar data if you have one.",
        hint="`recommend checkpoints add`.",
    )


def _broad_but_not_compared(forecast: StartForecast) -> bool:
    """True for weights of the target's task from a broad source of which no profile is here, such as ImageNet.

    How similar it is cannot be told, so that nothing be similar cannot be claimed.
    """
    checkpoint = forecast.situation.checkpoint
    return (
        checkpoint is not None
        and checkpoint.task == forecast.situation.target.task
        and forecast.situation.evidence.similarity is None
        and (checkpoint.source_images or 0) >= BROAD_SOURCE
    )


def _negative(forecasts: Sequence[StartForecast]) -> Notice | None:
    poor = sorted(
        {
            str(o.situation.start)
            for o in forecasts
            if o.situation.checkpoint
            and o.gain_over_scratch.mean < -NO_GAIN
            and not leaks(o.situation)  # those are not offered anyway
        }
    )
    if not poor:
        return None
    return Notice(
        code="negative_transfer",
        message=f"Likely worse than random weights at this budget: {', '.join(map(printable, poor[:6]))}. "
        "Do not start from them.",
    )


def _small_for_scratch(forecasts: Sequence[StartForecast], asked: bool) -> Notice | None:
    """Said if scratch was asked for and is forecast far behind, or is alone and would learn next to nothing."""
    scratch = next((o for o in forecasts if o.situation.start.checkpoint == SCRATCH), None)
    if scratch is None or head_start(scratch.situation) <= 0.5:
        return None
    situation = scratch.situation
    size = f"{counted(situation.num_train_images, 'training image')} and {counted(situation.budget.epochs, 'epoch')}"
    rivals = [o for o in forecasts if o is not scratch and not trained_on_target(o.situation.evidence)]
    if not rivals:
        if gain_share(situation) >= LITTLE_LEARNT:
            return None
        message = f"{size} are too few to learn from nothing."
    else:
        first, label = rivals[0], task_definition(situation.target.task).metric.label
        behind = first.score.mean - scratch.score.mean
        if not asked or behind < FAR_BEHIND:
            return None
        message = (
            f"With {size} random weights are expected to end {behind:.2f} {label} below "
            f"{printable(first.situation.start)}."
        )
    return Notice(code="small_for_scratch", message=message)


def _small_batch(situation: Situation, batch: int) -> Notice | None:
    seen = min(batch, situation.num_train_images)
    if seen >= SMALL_BATCH_IMAGES:
        return None
    return Notice(
        code="small_batch",
        message=f"Only {counted(seen, 'training image')} in a batch. The network scales its values by averages over "
        "each batch (batch norm); those of so few vary, and the result with them. A frozen backbone keeps the "
        "averages it came with. Train again with another seed to see how much results differ.",
    )


def _few_val(situation: Situation) -> Notice | None:
    num_val = situation.target.num_images.val
    if num_val >= FEW_VAL:
        return None
    return Notice(
        code="few_val",
        message=f"{counted(num_val, 'val image')}: with others the score would differ by more than most starts do. "
        "Label more for val.",
    )


def _repeated(situation: Situation) -> Notice | None:
    """The number of images that the forecast goes by where most are near duplicates, such as frames of one film."""
    distinct = round(distinct_images(situation))
    if distinct > MOSTLY_REPEATS * situation.num_train_images:
        return None
    return Notice(
        code="repeated_images",
        message=f"Your {counted(situation.num_train_images, 'training image')} count as about {distinct:,}: the "
        "others nearly repeat them. New scenes help more than more of the same.",
    )


def _first_pretrained(forecasts: Sequence[StartForecast]) -> Checkpoint | None:
    """The first start's licence is what the user would inherit."""
    return next((o.situation.checkpoint for o in forecasts if o.situation.checkpoint), None)


def _unknown_licence(forecasts: Sequence[StartForecast]) -> Notice | None:
    first = _first_pretrained(forecasts)
    if first is None or (first.licence and first.source_licence):
        return None
    unknown = [
        what
        for what, known in (("its weights", first.licence), ("its training data", first.source_licence))
        if not known
    ]
    return Notice(
        code="licence",
        message=f"{printable(first.name)}: the licence of {' and of '.join(unknown)} is unknown; "
        "find out before you ship.",
    )


def _licence(forecasts: Sequence[StartForecast]) -> Notice | None:
    first = _first_pretrained(forecasts)
    if first is None or not (first.licence and first.source_licence):
        return None
    if is_permissive(first):
        return None
    others = any(o.situation.checkpoint and is_permissive(o.situation.checkpoint) for o in forecasts)
    return Notice(
        code="licence",
        message=f"{printable(first.name)}: weights under {printable(first.licence)}, its training data under "
        f"{printable(first.source_licence)}. Check both before you ship.",
        hint="--licence permissive leaves such starts out." if others else None,
    )


def _made_for_another_task(forecasts: Sequence[StartForecast]) -> list[Notice]:
    """One notice for each kind of change, with the starts it is true of and how much of their weights fits."""
    changes: dict[str, dict[str, float | None]] = {}
    for situation in (o.situation for o in forecasts if o.situation.checkpoint):
        checkpoint = situation.checkpoint
        said = checkpoint and task_change(checkpoint.task, checkpoint.foreign_task, situation.target.task)
        if checkpoint and said:
            changes.setdefault(said, {})[checkpoint.name] = situation.evidence.weights_transferred
    return [
        Notice(
            code="other_task",
            message=f"{_named(list(fits))} {said}. {_filled([share for share in fits.values() if share is not None])}",
        )
        for said, fits in changes.items()
    ]


def _filled(shares: Sequence[float]) -> str:
    """The part of the target's model that begins with weights of theirs."""
    if not shares:
        return "What does not fit begins at random."
    low, high = (f"{share:.0%}" for share in (min(shares), max(shares)))
    return f"{low if low == high else f'{low} to {high}'} of your model's weights fit; the rest begins at random."


def _named(names: Sequence[str]) -> str:
    """The subject of a sentence about one checkpoint or each of several."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(printable, names[:4])) + more + (": each" if len(names) > 1 else "")


def _recovered(forecasts: Sequence[StartForecast]) -> list[Notice]:
    task = forecasts[0].situation.target.task
    checkpoints = [o.situation.checkpoint for o in forecasts]
    names = {checkpoint.name for checkpoint in checkpoints if checkpoint and checkpoint.task == task}
    return [
        Notice(
            code="recovered_weights",
            message=f"{name} is not the official {public}.pt but recovered from a public export of it, and slightly "
            "below it: the official file should do a little better.",
            hint=f"--checkpoint {public} fetches it.",
        )
        for name, public in RECOVERED_FROM.items()
        if name in names and public not in names
    ]
