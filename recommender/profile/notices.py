"""Defects of a data set, as the warnings of an answer about it."""

from __future__ import annotations

from recommender.datasets.checks import quick_defects
from recommender.datasets.defect_kinds import KINDS
from recommender.profile.leaks import val_images_in_train
from recommender.records import Dataset, Defect, Notice, Profile
from recommender.text import counted, printable

# No fault, but the answer is about boxes and the user drew more, or meant to.
ALWAYS_TOLD = frozenset({"label_outline", "outline_rectangle"})


def dataset_notices(dataset: Dataset, profile: Profile) -> tuple[Notice, ...]:
    """A notice for every defect of severity error or warning, the worst first.

    `profile` must be the data set's own: its hashes tell which val images look like train images.
    """
    defects = quick_defects(dataset)
    exact = sum(d.count for d in defects if d.kind == "exact_duplicate_leak")
    near = val_images_in_train(profile) - exact
    told = [_notice(d) for d in defects if d.severity != "info" or d.kind in ALWAYS_TOLD]
    if near > 0:
        look = "looks" if near == 1 else "look"
        told.append(
            Notice(
                code="near_duplicate_leak",
                message=f"{near} of {counted(profile.num_images.val, 'val image')} {look} like images of train. "
                + KINDS["near_duplicate_leak"].remedy,
            )
        )
    return tuple(told)


def _notice(defect: Defect) -> Notice:
    example = f" (for example {printable(defect.examples[0])})" if defect.examples else ""
    message = f"{defect.count:,} × {KINDS[defect.kind].title}{example}. {defect.remedy}"
    return Notice(code=defect.kind, message=message)
