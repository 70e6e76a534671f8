"""What can go wrong with this target and these starts, said before it costs anything."""

from __future__ import annotations

from collections.abc import Sequence

from recommender.forecast.ranking import Outlook
from recommender.forecast.rules import head_start, leaks
from recommender.profile import NOTHING_SIMILAR
from recommender.records import SCRATCH, Notice
from recommender.text import printable

SMALL_BATCH_IMAGES = 16  # below one usual batch, batch norm sees fewer than it needs
NO_GAIN = 0.02  # mAP within which a pretrained start counts as no better than scratch
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


def is_permissive(licence: str | None) -> bool:
    """Whether a licence is known and asks for no more than attribution. Unknown is not permissive."""
    return licence is not None and licence.casefold() in {name.casefold() for name in PERMISSIVE}


def warnings(outlooks: Sequence[Outlook], *, batch: int = 16) -> tuple[Notice, ...]:
    """All notices for a ranking, the most pressing first."""
    return (
        *_leaks(outlooks),
        *_nothing_similar(outlooks),
        *_negative(outlooks),
        *_data(outlooks, batch),
        *_licences(outlooks),
    )


def _leaks(outlooks: Sequence[Outlook]) -> list[Notice]:
    notices = {}
    for outlook in outlooks:
        if leaks(outlook.situation):
            seen = outlook.situation.evidence.source_images_seen or 0.0
            name = outlook.situation.start.checkpoint
            notices[name] = Notice(
                code="leak",
                message=f"{printable(name)} has already seen {seen:.0%} of your images: its validation mAP would be "
                "flattering, so its lead is discounted. Validate it on images it has not seen.",
            )
    return list(notices.values())


def _nothing_similar(outlooks: Sequence[Outlook]) -> list[Notice]:
    known = [
        o.situation.evidence.similarity
        for o in outlooks
        if o.situation.evidence.similarity is not None
        and not leaks(o.situation)  # one's own images are no kin
    ]
    if known and max(known) >= NOTHING_SIMILAR:
        return []
    best = f" (best similarity {max(known):.2f}; kin begin at {NOTHING_SIMILAR:.2f})" if known else ""
    return [
        Notice(
            code="nothing_similar",
            message=f"nothing known here is close to your data{best}: the order rests on general experience, not on "
            "likeness. Short trials (--trials 4) or a related checkpoint (`recommend checkpoints add`) settle it.",
        )
    ]


def _negative(outlooks: Sequence[Outlook]) -> list[Notice]:
    poor = sorted(
        {
            str(o.situation.start)
            for o in outlooks
            if o.situation.checkpoint and o.gain_over_scratch.mean < -NO_GAIN
        }
    )
    if not poor:
        return []
    return [
        Notice(
            code="negative_transfer",
            message=f"likely worse than random weights at this budget: {', '.join(map(printable, poor[:6]))}. "
            "Do not start from them.",
        )
    ]


def _data(outlooks: Sequence[Outlook], batch: int) -> list[Notice]:
    if not outlooks:
        return []
    situation = outlooks[0].situation
    images, found = situation.num_train_images, []
    if head_start(situation) > 0.5 and any(o.situation.start.checkpoint == SCRATCH for o in outlooks):
        found.append(
            Notice(
                code="small_for_scratch",
                message=f"{images} training images × {situation.budget.epochs} epochs are too few to train from "
                "scratch; pretrained weights will win by far (He et al. 2018: below 10,000 images the gap is large).",
            )
        )
    if min(batch, images) < SMALL_BATCH_IMAGES:
        found.append(
            Notice(
                code="small_batch",
                message=f"only {images} training images: a batch this small is too few for batch norm; freeze the "
                "backbone, accumulate batches, or use group norm for runs from scratch.",
            )
        )
    return found


def _licences(outlooks: Sequence[Outlook]) -> list[Notice]:
    """The first start's licence is what the user would inherit."""
    first = next((o.situation.checkpoint for o in outlooks if o.situation.checkpoint), None)
    if first is None or (is_permissive(first.licence) and is_permissive(first.source_licence)):
        return []
    weights = first.licence or "unknown"
    source = first.source_licence or "unknown"
    return [
        Notice(
            code="licence",
            message=f"{printable(first.name)}: weights under {printable(weights)}, its training data under "
            f"{printable(source)}; check both before you ship. --licence permissive leaves such starts out.",
        )
    ]
