"""Images by name, each with named boxes, as most formats give them. One function makes the RawSet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import ImageIndex
from recommender.datasets.mixed import refuse_second_format
from recommender.datasets.raw import NO_OUTLINE, Corners, RawImage, RawSet, Shape
from recommender.datasets.split_names import split_of_image, split_of_path, tell_split_folders
from recommender.errors import WrongTaskError
from recommender.records import Split
from recommender.text import printable

WHOLE_IMAGE: Corners = (0.0, 0.0, 1.0, 1.0)
FEW_TAGS = 10  # times as many tagged images as images with objects make a set of whole images
# Class name, and box or shape; None for a broken one, so that its image is no background.
Object = tuple[str, Corners | Shape | None]


@dataclass(frozen=True, kw_only=True)
class NamedImage:
    """An image as an annotation file speaks of it."""

    reference: str  # path, name or address
    near: Path  # the annotation file
    objects: tuple[Object, ...]
    split: Split | None = None
    size: tuple[float, float] | None = None  # width, height
    units: Literal["fraction", "pixel"] = "pixel"


def named_set(
    entries: Sequence[NamedImage],
    *,
    format: str,
    root: Path,
    disk: Disk,
    log: DefectLog,
    name: str,
    class_names: Sequence[str] | None = None,
    others: Literal["background", "told", "passed over"] = "told",
) -> RawSet:
    """Find the images and number the classes: in the order given, then the others by name.

    `others` are images without an entry that lie among those with one: background in formats of one file an image.
    Raises DatasetError where several images may be meant, or an image has a label in another format.
    """
    index = ImageIndex(root, disk)
    found: list[tuple[Path, NamedImage]] = []
    paths = index.of_names([(entry.reference, entry.near, entry.split) for entry in entries])
    for entry, path in zip(entries, paths, strict=True):
        if path is None:
            log.add("image_missing", disk.name(entry.near), entry.reference)
        else:
            found.append((path, entry))
    tell_split_folders((path for path, entry in found if entry.split is None), root, log)
    numbers = _numbers(entries, class_names or ())
    images = [_raw_image(path, entry, numbers, root, disk) for path, entry in found]
    claimed = {path for path, _ in found}
    if others == "background":
        images += _unlabelled(index, claimed, root, disk)
    elif others == "told":
        index.tell_beside(claimed, log)
    return RawSet(
        name=name,
        root=root,
        format=format,
        class_names=tuple(numbers),
        images=images,
        log=log,
        num_left_out=len(entries) - len(found),
    )


def set_of_kind(
    tagged: Sequence[tuple[NamedImage, Sequence[str]]],
    *,
    format: str,
    root: Path,
    disk: Disk,
    log: DefectLog,
    name: str,
    class_names: Sequence[str] = (),
) -> RawSet:
    """The set of a tool that labels whole images as well as objects, of entries with the classes of the whole image.

    Of objects where a few entries have some: a tagged image without any is background then, which is told. Else of
    whole images; those without a class are told. Raises WrongTaskError for several classes of one.
    """
    num_located = sum(1 for entry, _ in tagged if entry.objects)
    whole = [(entry, classes) for entry, classes in tagged if classes and not entry.objects]
    classified = len(whole) > FEW_TAGS * num_located
    raw = named_set(
        [_classified(entry, classes) for entry, classes in whole] if classified else [e for e, _ in tagged],
        format=format,
        root=root,
        disk=disk,
        log=log,
        name=name,
        class_names=class_names,
        others="passed over" if classified or log.count("image_unannotated") else "told",
    )
    raw.classified = classified
    for entry, classes in tagged:
        if not classified and classes and not entry.objects:
            log.add("image_tagged", entry.reference, ", ".join(classes[:4]))
        elif classified and (entry.objects or not classes):
            log.add("image_unclassified", entry.reference)
    return raw


def _classified(entry: NamedImage, classes: Sequence[str]) -> NamedImage:
    """The entry with the whole image as its only object. Raises WrongTaskError for several classes."""
    if len(set(classes)) > 1:
        raise WrongTaskError(
            f"{printable(entry.near.name)}: {printable(entry.reference)} has the classes "
            f"{printable(', '.join(classes[:4]))}: multi-label classification, which is not served.",
            remedy="Keep one class for each image.",
        )
    return replace(entry, objects=((classes[0], WHOLE_IMAGE),), units="fraction", size=None)


def _numbers(entries: Iterable[NamedImage], given: Sequence[str]) -> dict[str, int]:
    used = {thing for entry in entries for thing, _ in entry.objects if thing}
    names = [*dict.fromkeys(given), *sorted(used - set(given))]
    return {name: number for number, name in enumerate(names)}


def _raw_image(path: Path, entry: NamedImage, numbers: dict[str, int], root: Path, disk: Disk) -> RawImage:
    usable = [(numbers[thing], as_shape(mark)) for thing, mark in entry.objects if thing and mark is not None]
    split = entry.split or split_of_image(path, entry.near, root)
    return RawImage.of(
        path,
        disk.name(path),
        split,
        usable,
        num_rows=len(entry.objects),
        units=entry.units,
        declared_size=entry.size,
    )


def as_shape(mark: Corners | Shape) -> Shape:
    """A box as a shape without an outline; a shape as it is."""
    return mark if isinstance(mark, Shape) else Shape(mark, NO_OUTLINE)


def _unlabelled(index: ImageIndex, claimed: set[Path], root: Path, disk: Disk) -> Iterator[RawImage]:
    beside = index.beside(claimed)
    refuse_second_format(beside, (".txt", ".xml"), "a label of their format", root, disk)
    for path in beside:
        yield RawImage.of(path, disk.name(path), split_of_path(path, root), labelled=False)
