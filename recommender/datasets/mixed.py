"""Labels in a second format, and labels whose image goes by another name: their images are no background."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.label_files import OTHER_TEXTS, LabelFiles
from recommender.datasets.matching import spellings
from recommender.datasets.raw import RawImage
from recommender.errors import DatasetError
from recommender.text import printable

# Among this many unlabelled images for each label file without an image, a few of them are rather left over.
BACKGROUND_PER_ORPHAN = 10
HEAD_BYTES = 65_536


def refuse_second_format(
    unlabelled: Iterable[Path], suffixes: tuple[str, ...], read: str, root: Path, disk: Disk
) -> None:
    """Raise DatasetError when images without a label in the format `read` have one in another.

    `suffixes` are those of the other formats' files, one an image: `.xml`, `.json`, `.txt`.
    """
    stems = {spellings(path.stem)[2]: path for path in unlabelled}
    others = (path for path in disk.walk(root) if path.suffix.lower() in suffixes) if stems else ()
    found = {
        stem: path for path in others if (stem := _image_stem(path)) in stems and _holds_labels(path, disk)
    }
    if found:
        example = printable(disk.name(next(iter(found.values()))))
        raise DatasetError(
            f"{len(found)} of {len(stems)} images without {read} have a label in another format, for example "
            f"{example}: labels in two formats.",
            remedy="Convert the labels to one format, in one place.",
        )


def _image_stem(path: Path) -> str:
    """The stem of the image a label file is named after: `a.xml` and `a.png.json` both mean `a`."""
    stem, dot, suffix = path.stem.rpartition(".")
    plain = (
        stem
        if dot and suffix.lower() in ("jpg", "jpeg", "jfif", "png", "bmp", "tif", "tiff", "webp")
        else path.stem
    )
    return spellings(plain)[2]


def _holds_labels(path: Path, disk: Disk) -> bool:
    head = disk.head(path, HEAD_BYTES)
    if path.suffix.lower() == ".xml":
        return b"<object" in head
    if path.suffix.lower() == ".json":
        return b'"shapes"' in head or b'"objects"' in head
    return path.name.lower() not in OTHER_TEXTS and _is_row(head.split(b"\n", 1)[0])


def _is_row(line: bytes) -> bool:
    try:
        return len([float(word) for word in line.split()]) >= 5
    except ValueError:
        return False


def leave_out_doubtful(
    images: list[RawImage], labels: LabelFiles, every_image: Iterable[Path], disk: Disk, log: DefectLog
) -> list[RawImage]:
    """The images less those that may belong to a label file without an image; each such label is counted.

    It lies where theirs would, or is called as they are: images in folders below that of their labels.
    `every_image` are all that lie in the folders, the unlisted ones included.
    """
    orphans = labels.without_image(every_image)
    for path in orphans:
        log.add("label_without_image", disk.name(path))
    folders, stems = {path.parent for path in orphans}, {spellings(path.stem)[2] for path in orphans}
    doubtful = [
        image
        for image in images
        if not image.labelled
        and (not folders.isdisjoint(labels.folders_of(image.path)) or spellings(image.path.stem)[2] in stems)
    ]
    if len(doubtful) > BACKGROUND_PER_ORPHAN * len(orphans):
        return images
    for image in doubtful:
        log.add("image_label_doubtful", image.name)
    left_out = {id(image) for image in doubtful}
    return [image for image in images if id(image) not in left_out]
