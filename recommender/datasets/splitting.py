"""A val split where the data set has none: seeded, by content, rare classes and near duplicates kept in mind."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256

from recommender.errors import DatasetError
from recommender.records import LabelledImage

VAL_SHARE = 0.2
MAX_VAL_SHARE = 0.3  # as far as rare classes may push it


def seeded_val(images: Sequence[LabelledImage], seed: int) -> set[str]:
    """Choose about a fifth of the images for val; returns their sha256.

    Depends on the images' bytes, their classes and the seed alone, so neither file names nor listing
    order change it, and copies of one image stay together. Raises DatasetError below two images.
    """
    classes = _classes_by_image(images)
    if len(classes) < 2:
        raise DatasetError(
            f"Only {len(classes)} different image is usable, and train and val need one each.",
            remedy="Add images: a few dozen for each class are a sensible start.",
        )
    frequency = Counter(index for present in classes.values() for index in present)
    groups: dict[int, list[str]] = defaultdict(list)
    for digest, present in classes.items():
        groups[min(present, key=lambda c: (frequency[c], c), default=-1)].append(digest)
    most = max(1, int(MAX_VAL_SHARE * len(classes)))
    chosen: set[str] = set()
    due = 0.0
    for index in sorted(groups, key=lambda c: (frequency[c] if c >= 0 else len(images) + 1, c)):
        members = sorted(groups[index], key=lambda digest: sha256(f"{seed} {digest}".encode()).digest())
        due += VAL_SHARE * len(members)
        # A class in two images or more is shown to both sides; common classes give the images back.
        least = 1 if index >= 0 and len(members) > 1 else 0
        count = min(
            max(round(due), least), len(members) - 1 if len(members) > 1 else round(due), most - len(chosen)
        )
        chosen.update(members[: max(count, 0)])
        due -= max(count, 0)
    if not chosen:
        with_boxes = [digest for digest, present in classes.items() if present] or list(classes)
        chosen.add(min(with_boxes, key=lambda digest: sha256(f"{seed} {digest}".encode()).digest()))
    return chosen


def seeded_val_of_classes(
    images: Sequence[LabelledImage], groups: Iterable[Sequence[str]], seed: int
) -> set[str]:
    """For images of one class each: about a fifth of every class, groups of near duplicates whole; their sha256.

    Every class of two groups or more is on both sides; one that is a single group, as of frames of one film, is
    divided by image. Raises DatasetError below two images.
    """
    class_of = {image.sha256: int(image.classes_M[0]) for image in reversed(images)}
    if len(class_of) < 2:
        raise DatasetError(
            f"Only {len(class_of)} different image is usable, and train and val need one each.",
            remedy="Add images: a few dozen for each class are a sensible start.",
        )
    grouped = [tuple(group) for group in groups]
    single = set(class_of).difference(*grouped)
    units: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for unit in [*grouped, *((digest,) for digest in single)]:
        kinds = Counter(class_of[digest] for digest in unit)
        units[min(kinds, key=lambda kind: (-kinds[kind], kind))].append(unit)
    chosen: set[str] = set()
    for _, own in sorted(units.items()):
        parts = own if len(own) > 1 else [(digest,) for digest in own[0]]
        parts = sorted(parts, key=lambda unit: sha256(f"{seed} {min(unit)}".encode()).digest())
        total = sum(map(len, parts))
        due, taken = max(1, round(VAL_SHARE * total)), 0
        small = [unit for unit in parts if len(unit) <= 2 * due] or sorted(parts, key=len)[:1]
        for unit in small:
            if taken < due and taken + len(unit) < total:
                chosen.update(unit)
                taken += len(unit)
    return chosen


def keep_together(val: set[str], groups: Iterable[Sequence[str]], seed: int) -> set[str]:
    """`val` changed so that no group of near duplicates lies on both sides, its size kept as well as can be.

    Images are named by sha256. Where a group is so large that val would come to less than half or more than twice
    its size, as among frames of one film, `val` stays as it is.
    """
    wanted, chosen = len(val), set(val)
    for group in sorted(groups, key=lambda group: sha256(f"{seed} {min(group)}".encode()).digest()):
        inside = chosen.intersection(group)
        if not inside or len(inside) == len(group):
            continue
        without, joined = chosen.difference(group), chosen.union(group)
        # The side that keeps the size; of two as good, the one that moves fewer images.
        chosen = min(
            (without, joined), key=lambda side: (abs(len(side) - wanted), len(side ^ chosen), len(side))
        )
    return chosen if wanted / 2 <= len(chosen) <= 2 * wanted else val


def _classes_by_image(images: Sequence[LabelledImage]) -> dict[str, frozenset[int]]:
    classes: dict[str, frozenset[int]] = {}
    for image in images:
        present = frozenset(int(index) for index in image.classes_M)
        classes[image.sha256] = classes.get(image.sha256, frozenset()) | present
    return classes
