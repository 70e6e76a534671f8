"""The mask pictures of each image: by folders, by equal names, or by names that begin alike."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import MASK_FOLDERS, is_mask, is_preview
from recommender.datasets.matching import spellings
from recommender.datasets.split_names import split_of_path, split_of_words

MASK_WORD = re.compile(
    r"(?i)[-_. ]?(masks?|seg|segmentation|labels?|gt|ground_?truth|l|instance_?ids?|annotation)$"
)
NUMBERS = re.compile(r"^[-_. ]*(m|mask|obj|object|instance|inst)?[-_. ]*\d+$", re.IGNORECASE)
OPEN_IMAGES = re.compile(r"^_(m)(0[0-9a-z_]+?)_[0-9a-f]{6,}$")  # the class's identifier and the box's
OBJECT_FOLDER = "segmentationobject"
CLASS_FOLDER = "segmentationclass"


@dataclass(frozen=True, kw_only=True)
class MaskFile:
    """One mask picture. `kind` None and `single` False: its values tell."""

    path: Path
    kind: str | None = None  # the class it is of, by its name or folder
    single: bool = False  # it shows one object
    instances: bool = False  # its values number objects


def find_mask_files(root: Path, disk: Disk, log: DefectLog) -> dict[Path, list[MaskFile]]:
    """The masks of each image that has some; empty where there are none, or as many images without.

    Pascal VOC's folders say by their names what they hold, and are complete for few of its images. Where no name
    tells an image, those of masks and images may differ by a word alone, which is told.
    """
    paths = [
        path for path in disk.images(root) if not any(map(is_preview, path.relative_to(root).parts[:-1]))
    ]
    masks = [path for path in paths if is_mask_file(path, root)]
    chosen = set(masks)
    images = [path for path in paths if path not in chosen]
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        by_stem[spellings(path.stem)[2]].append(path)
    found: dict[Path, list[MaskFile]] = defaultdict(list)
    alone = _alone_beside(images)
    for path in masks:
        image, rest = _image_of(path, by_stem, alone)
        if image is not None:
            found[image].append(_as_mask(path, rest, root))
    if not found and (found := _without_common_words(images, masks, root)):
        image, (first, *_) = next(iter(found.items()))
        log.add("mask_by_number", disk.name(first.path), f"of {disk.name(image)}", count=len(found))
    certain = any(is_voc_mask(each.path) for own in found.values() for each in own)
    return dict(found) if certain or 2 * len(found) > len(images) else {}


def is_voc_mask(path: Path) -> bool:
    """True in Pascal VOC's folders SegmentationClass and SegmentationObject."""
    return _folder(path) in (OBJECT_FOLDER, CLASS_FOLDER)


def _folder(path: Path) -> str:
    """The folder of a mask, as VOC calls it; older versions of LabelMe add PNG."""
    return path.parent.name.lower().removesuffix("png")


def is_mask_file(path: Path, root: Path) -> bool:
    """True if a picture is a mask by its folder or name."""
    return (
        is_mask(path, root)
        or re.search(r"(?i)^masks?[-_. ]|(^|[-_. ])(masks?([-_. ]?\d+)?|segmentation)$", path.stem)
        is not None
        or (path.parent != root and MASK_WORD.fullmatch(path.stem) is not None)
    )


def _alone_beside(images: list[Path]) -> dict[Path, Path]:
    """For each folder the one image in it or the folders in it: `ID/images/ID.png` beside `ID/masks/`."""
    within: dict[Path, list[Path]] = defaultdict(list)
    for path in images:
        within[path.parent.parent].append(path)
        within[path.parent].append(path)
    return {folder: each[0] for folder, each in within.items() if len(each) == 1}


def _image_of(path: Path, by_stem: dict[str, list[Path]], alone: dict[Path, Path]) -> tuple[Path | None, str]:
    """The image of a mask, and what the mask's name says beyond the image's."""
    stem = spellings(path.stem)[2]
    if stem in by_stem:
        return _nearest(by_stem[stem], path), ""
    for word in (MASK_WORD.sub("", stem), stem):
        parts = re.split(r"(?<=[^-_. ])(?=[-_. ])", word)
        for count in range(len(parts), 0, -1):
            start = "".join(parts[:count])
            if start in by_stem:
                return _nearest(by_stem[start], path), word[len(start) :]
    for folder in (path.parent.name, path.parent.parent.name):  # masks/IMAGE/1.png
        if (called := spellings(folder)[2]) in by_stem:
            own = stem.removesuffix(called).rstrip("-_. ")
            rest = f"_{own}" if re.search("[g-z]", own) else "_1"  # hexadecimal digits name no class
            return _nearest(by_stem[called], path), MASK_WORD.sub("", rest)
    if path.parent in alone:  # ID/image.png beside ID/mask.png
        return alone[path.parent], MASK_WORD.sub("", re.sub(r"(?i)^masks?", "", stem))
    if path.parent.parent in alone and alone[path.parent.parent].parent != path.parent:
        return alone[path.parent.parent], "_1"  # whatever they are called, one an object
    for each in re.finditer(r"(?<=[^-_. ])[-_. ]+", stem):  # 1_IMAGE.png
        if (end := stem[each.end() :]) in by_stem:
            return _nearest(by_stem[end], path), MASK_WORD.sub("", f"_{stem[: each.start()]}")
    return None, ""


def _without_common_words(
    images: Sequence[Path], masks: Sequence[Path], root: Path
) -> dict[Path, list[MaskFile]]:
    """Images and masks one to one by what their names keep without the word that all of each share; else empty."""
    image_of, mask_of = (
        {(split_of_path(path, root), own): path for path, own in zip(paths, _own_parts(paths), strict=True)}
        for paths in (images, masks)
    )
    whole = len(image_of) == len(images) and len(mask_of) == len(masks)
    if not whole or image_of.keys() != mask_of.keys() or any(not own for _, own in image_of):
        return {}
    return {image: [MaskFile(path=mask_of[key])] for key, image in image_of.items()}


def _own_parts(paths: Sequence[Path]) -> list[str]:
    """The names less suffixes and less what all begin and end with, digits apart."""
    stems = [spellings(path.stem)[2] for path in paths]
    start, end = (_num_shared(each) for each in (stems, [stem[::-1] for stem in stems]))
    return [stem[start : len(stem) - end] for stem in stems]


def _num_shared(words: Sequence[str]) -> int:
    """The number of characters before the first digit that all words begin with."""
    pairs = zip(min(words, default=""), max(words, default=""), strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1] and not pair[0].isdigit(), pairs)))


def _nearest(images: list[Path], mask: Path) -> Path | None:
    """The one of the images of one name whose folders agree most with the mask's."""

    def shared(path: Path) -> int:
        own, other = ([split_of_words(part) or part for part in each.parent.parts] for each in (path, mask))
        return len(set(own) & set(other))

    best = max(map(shared, images))
    found = [path for path in images if shared(path) == best]
    return found[0] if len(found) == 1 else None


def _as_mask(path: Path, rest: str, root: Path) -> MaskFile:
    folder = path.parent.name
    if is_voc_mask(path):
        return MaskFile(path=path, instances=_folder(path) == OBJECT_FOLDER)
    words = set(re.split(r"[^a-z]+", folder.lower()))
    inner = path.parent.relative_to(root).parts[:-1] if path.parent != root else ()
    below_masks = any(MASK_FOLDERS & set(re.split(r"[^a-z]+", part.lower())) for part in inner)
    if not rest and below_masks and not words & MASK_FOLDERS and split_of_words(folder) is None:
        return MaskFile(path=path, kind=folder)  # masks/CLASS/IMAGE.png
    if match := OPEN_IMAGES.match(rest):
        return MaskFile(path=path, kind=f"/{match[1]}/{match[2]}", single=True)
    if NUMBERS.match(rest):
        return MaskFile(path=path, single=True)
    name = re.sub(r"[-_. ]*\d+$", "", rest).strip("-_. ")
    if name:
        return MaskFile(path=path, kind=name, single=name != rest.strip("-_. "))
    return MaskFile(path=path)
