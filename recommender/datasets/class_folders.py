"""Image classification by folders: SPLIT/CLASS/… or CLASS/…; a class is what its folder is called.

Numbers of classes follow the sorted names of all splits together, so the order of folders never decides.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recommender.datasets.defects import DefectLog
from recommender.datasets.disk import Disk
from recommender.datasets.lookup import is_mask
from recommender.datasets.named import WHOLE_IMAGE
from recommender.datasets.raw import RawImage, RawSet
from recommender.datasets.split_names import (
    ANNOTATION_FOLDERS,
    PLAIN_WORDS,
    apart,
    split_of_words,
    tell_joined_splits,
    without_split_words,
)
from recommender.errors import DatasetError
from recommender.records import Split
from recommender.text import counted, printable

MAX_WRAPPERS = 3
PLAIN_FOLDERS = frozenset(
    {"images", "image", "imgs", "img", "jpegimages", "pngimages", "jpg", "jpeg", "png"}
    | {"data", "dataset", "photos"}
)
ANNOTATIONS = frozenset({".txt", ".xml", ".json", ".csv"})
# Of segmentation sets: Pascal VOC's, LabelMe's, Cityscapes', PennFudan's and Flowers-102's.
MASKS = re.compile(
    r"segmentations?|segmentation(class|object)(png|visuali[sz]ation)?|leftimg8bit|gtfine|gtcoarse|pedmasks|segmim|.*ground_?truth"
)

PIECE = re.compile(
    r"(?i)(.*[-_. ])?(parts?|batch|chunk|shard|fold|folder|dir|set|subset|imgs?|images?|photos?|pictures?|frames?"
    r"|videos?|clip|seq|sequence|session|run|cam|camera|data|dataset|pages?|tiles?|patient|upload)[-_. ]*\d+"
    r"|(19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d([-_. T]\d.*)?"  # a date
    r"|(un)?(labell?ed|annotated)|original|augmented|raw|(pre)?processed|resized"
)
# Of a repository or a run: where they hold few images, these are no class.
SIDE_FOLDERS = frozenset(
    {"assets", "doc", "docs", "figures", "figs", "logs", "media", "notebooks", "output", "outputs", "plots"}
    | {"results", "runs", "screenshots"}
)
FEW_BESIDE = 0.1  # of the images of the other folders, on average


@dataclass(frozen=True, kw_only=True)
class ClassTree:
    """The folder of each class's images."""

    folders: tuple[tuple[Split | None, str, Path], ...]  # split, class, folder; the empty ones too
    unlabelled: tuple[Path, ...]  # images in no class folder

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of all splits, sorted."""
        return tuple(sorted({name for _, name, _ in self.folders}))

    @property
    def are_pieces(self) -> bool:
        """True if the folders are called after parts of a set: `cam1` and `cam2`, dates, `unlabeled`."""
        return all(map(PIECE.fullmatch, self.class_names))

    @property
    def side_by_side(self) -> list[list[Path]]:
        """The class folders of each split."""
        found: dict[Split | None, list[Path]] = {}
        for split, _, place in self.folders:
            found.setdefault(split, []).append(place)
        return list(found.values())

    @property
    def split_folders(self) -> dict[Path, Split]:
        """The folders that are called after splits, with these."""
        above = ((split, place) for split, _, folder in self.folders for place in (folder, *folder.parents))
        return {place: split for split, place in above if split and _split_of(place.name) == split}


def read_class_folders(
    tree: ClassTree,
    root: Path,
    disk: Disk,
    log: DefectLog,
    name: str,
    labels: Mapping[Path, tuple[str, Split | None]],
) -> RawSet:
    """Read the images of a tree found by `find_class_tree`; each has one object, the whole image.

    `labels` are class and split, by a table, of images that lie in no class folder. Raises DatasetError where the same
    folders lie in every class's folder, so that either could be the classes.
    """
    _refuse_same_inside(tree, name, disk)
    numbers = {class_name: number for number, class_name in enumerate(tree.class_names)}
    images = []
    for split, class_name, folder in tree.folders:
        photos = _photos(folder, disk)
        for mask in set(disk.images(folder)) - set(photos):
            log.add("mask_in_class", disk.name(mask))
        for path in photos:
            inner = path.parent.name
            if path.parent != folder and split_of_words(inner) is None and inner.lower() not in PLAIN_FOLDERS:
                log.add("class_nested", disk.name(path), f"taken as {class_name}")
            images.append(classified(path, numbers[class_name], split, disk))
    for path in tree.unlabelled:
        label, split = labels.get(path, ("", None))
        if label in numbers:
            images.append(classified(path, numbers[label], split, disk))
        else:
            log.add("image_unclassified", disk.name(path))
    _tell_missing(tree, name, log)
    tell_joined_splits(tree.split_folders, log)
    return RawSet(
        name=name,
        root=root,
        format="class folders",
        class_names=tree.class_names,
        images=images,
        log=log,
        classified=True,
    )


def _refuse_same_inside(tree: ClassTree, name: str, disk: Disk) -> None:
    """Raise DatasetError where class folders hold nothing but the same folders each, or splits of folders."""
    if any(disk.images_in(folder) for _, _, folder in tree.folders):
        return  # the images beside them are of the outer folder
    inside: dict[str, set[str]] = {}
    for _, class_name, folder in tree.folders:
        place = _unwrapped(folder, disk)
        own = {each for each in disk.listing(place).folders if _holds_images(place / each, disk)}
        own = {each for each in own if split_of_words(each) is None and each.lower() not in PLAIN_FOLDERS}
        inside.setdefault(class_name, set()).update(own)
    (outer, names), *others = sorted(inside.items())
    divided = all(
        _split_of(folder.name) for _, _, folder in tree.folders
    )  # CLASS/train/…, or a data set each
    if min(map(len, inside.values())) > 1 and (divided or all(names == found for _, found in others)):
        shown = ", ".join(map(printable, sorted(names)[:3]))
        beside = counted(len(others), "folder")
        holds = (
            f"each hold folders in their splits ({shown}, …)"
            if divided
            else f"each hold the same folders ({shown}, …)"
        )
        raise DatasetError(
            f"{printable(name)}: {printable(outer)} and {beside} beside it {holds}: which are the classes?",
            remedy=f"Give one of them, such as {printable(outer)}; if the inner ones are the classes of all, put the "
            "images of each into one folder; if the outer ones are, move the images up.",
        )


def classified(path: Path, number: int, split: Split | None, disk: Disk) -> RawImage:
    """An image of one class: one object, with the whole image as its box."""
    return RawImage(
        path=path,
        name=disk.name(path),
        split=split,
        classes_M=np.array([number], np.int64),
        corners_M4=np.array([WHOLE_IMAGE]),
        num_rows=1,
    )


def _tell_missing(tree: ClassTree, name: str, log: DefectLog) -> None:
    """Splits that list different classes are matched by name; say so. Raises DatasetError where none is in both."""
    of_split: dict[Split | None, set[str]] = {}
    for split, class_name, _ in tree.folders:
        of_split.setdefault(split, set()).add(class_name)
    for split, names in of_split.items():
        missing = set(tree.class_names) - names
        if missing and split is not None:
            log.add("class_folder_missing", name, f"{split} has no {', '.join(sorted(missing)[:5])}")
    if of_split.get("train") and of_split.get("val") and not of_split["train"] & of_split["val"]:
        first, second = (printable(min(of_split[split])) for split in ("train", "val"))
        raise DatasetError(
            f"{printable(name)}: no folder of train ({first}, …) is one of val ({second}, …), so they name no classes.",
            remedy="Call the folder of a class alike in both.",
        )


def find_class_tree(root: Path, disk: Disk) -> ClassTree | None:
    """The tree of class folders below `root`, less folders wrapped around it; None where there is none.

    A folder counts as a split only where its name says so and it holds folders of images itself: a class may be
    called "train".
    """
    folder = _unwrapped(root, disk)
    names = disk.listing(folder).folders
    splits = _splits_of(names)
    found: list[tuple[Split | None, str, Path]]
    inner = {name: _unwrapped(folder / name, disk, like=name) for name in splits}
    divided = {name for name, place in inner.items() if _class_folders(place, disk)}
    alone = divided == {name for name in names if _holds_images(folder / name, disk)}
    if any(splits[name] == "train" for name in divided) or len(divided) > 1 or (divided and alone):
        found = [
            (splits[name], *row) for name in sorted(divided) for row in _class_folders(inner[name], disk)
        ]
        loose = [path for name in names if name not in divided for path in disk.images(folder / name)]
        loose += [path for name in divided for path in disk.images_in(inner[name])]
        plain = _plain_alone(found)
        loose += [path for row in plain for path in disk.images(row[2])]
        found = [row for row in found if row not in plain]
    elif _divide_alone({name for name in splits if disk.images_in(inner[name])}, names):
        return None  # splits without classes, and what lies beside them
    else:
        found = list(_with_splits_inside(folder, disk))
        aside = _aside([place for _, _, place in found], disk)
        loose = [path for place in aside for path in disk.images(place)]
        found = [row for row in found if row[2] not in aside]
    loose += disk.images_in(folder)
    sizes = Counter({(name, place): len(_photos(place, disk)) for _, name, place in found})
    filled = {name.casefold() for name, _ in +sizes}
    usual = {name for name in filled - PLAIN_FOLDERS if not MASKS.fullmatch(name)}
    if filled & PLAIN_FOLDERS or any(_holds_annotations(place, disk) for _, place in +sizes):
        usual -= ANNOTATION_FOLDERS
    num_labelled = sizes.total()
    if len(usual) < 2 or len(loose) > num_labelled or all(_split_of(apart(name)) for name, _ in +sizes):
        return None
    if len(usual) == num_labelled or all("ann" in disk.listing(place).folders for _, place in +sizes):
        return None  # a folder for each image, or Supervisely's data sets
    return ClassTree(folders=tuple(found), unlabelled=tuple(sorted(loose)))


def _aside(places: Sequence[Path], disk: Disk) -> set[Path]:
    """The folders beside those of the data: a few pictures (a logo, plots of a run), or the same folders again."""
    names = {place.name for place in places}
    again = {
        place
        for place in places
        if len(inner := set(disk.listing(place).folders) - {place.name}) > 1 and inner <= names
    }
    side = {place for place in places if place.name.lower() in SIDE_FOLDERS}
    others = [place for place in places if place not in side]
    num_others = sum(1 for place in others for _ in disk.images(place)) if side else 0
    most = FEW_BESIDE * num_others / max(1, len(others))
    return again | {place for place in side if len(list(disk.images(place))) < most}


def _plain_alone(
    rows: list[tuple[Split | None, str, Path]],
) -> list[tuple[Split | None, str, Path]]:
    """Folders called `images` or the like that are the only one of their split, beside splits of more: no class."""
    sizes = Counter(split for split, _, _ in rows)
    several = max(sizes.values(), default=0) > 1
    return [row for row in rows if several and sizes[row[0]] == 1 and row[1].lower() in PLAIN_FOLDERS]


def _with_splits_inside(folder: Path, disk: Disk) -> Iterator[tuple[Split | None, str, Path]]:
    """Class folders without splits above them; of CLASS/train/… each split on its own."""
    for name, place in _class_folders(folder, disk):
        inner = disk.listing(place).folders
        splits = {each: _split_of(each) for each in inner}
        if inner and all(splits.values()) and not disk.images_in(place):
            yield from ((splits[each], name, place / each) for each in inner)
        else:
            yield None, name, place


def _class_folders(folder: Path, disk: Disk) -> list[tuple[str, Path]]:
    """The folders within one, by name (NFC); none where not one of them holds an image."""
    found = [(unicodedata.normalize("NFC", name), folder / name) for name in disk.listing(folder).folders]
    return found if any(_holds_images(place, disk) for _, place in found) else []


def _unwrapped(folder: Path, disk: Disk, like: str | None = None) -> Path:
    """Down through folders around the one that matters: the only one with images but masks, beside no image itself.

    Below a split's folder only one called like it is such a wrapper, as in `train/train`, or `images` around folders:
    any other is a class.
    """
    for _ in range(MAX_WRAPPERS):
        inner = [name for name in disk.listing(folder).folders if _holds_images(folder / name, disk)]
        inner = [name for name in inner if not MASKS.fullmatch(name.lower())] or inner
        aside = _aside([folder / name for name in inner], disk)
        inner = [name for name in inner if folder / name not in aside]
        if disk.images_in(folder) or len(inner) != 1:
            break
        if like is None and _split_of(inner[0]) is not None:
            break
        plain = inner[0].lower() in PLAIN_FOLDERS and bool(_class_folders(folder / inner[0], disk))
        if like is not None and _split_of(inner[0]) != _split_of(like) and not plain:
            break
        folder = folder / inner[0]
    return folder


def _photos(folder: Path, disk: Disk) -> list[Path]:
    """The images below a class's folder, without masks that lie in a folder of their own beside them."""
    found = list(disk.images(folder))
    if not disk.listing(folder).folders:  # of most: a look at each path would take long
        return found
    masks = {path for path in found if is_mask(path, folder)}
    pictured: dict[str, set[Path]] = {}
    for path in found:
        if path not in masks:
            pictured.setdefault(path.stem, set()).add(path.parent)
    return [path for path in found if path not in masks or not _masks_one(path, pictured)] or found


def _masks_one(mask: Path, pictured: Mapping[str, Set[Path]]) -> bool:
    """True where an image of a mask's name lies above it or in a folder of images: `lab` may be a kind of dog."""
    stems = (mask.stem, re.sub(r"(?i)[_-][a-z]+$", "", mask.stem))
    places = (place for stem in stems for place in pictured.get(stem, ()))
    return any(place in mask.parents or place.name.lower() in PLAIN_FOLDERS for place in places)


def _holds_images(folder: Path, disk: Disk) -> bool:
    return next(disk.images(folder), None) is not None


def _holds_annotations(folder: Path, disk: Disk) -> bool:
    """True for a folder called as those of annotations that holds some."""
    called = folder.name.lower() in ANNOTATION_FOLDERS
    return called and any(path.suffix.lower() in ANNOTATIONS for path in disk.walk(folder))


def _divide_alone(found: Set[str], names: Sequence[str]) -> bool:
    """True for folders of images alone that are splits, not classes as `test strip` or `toy_train` beside `toy_car`."""
    if len({split_of_words(name) for name in found}) < 2:
        return False
    rests = [set(without_split_words(name).split("_")) - PLAIN_WORDS - {""} for name in found]
    others = [set(without_split_words(name).split("_")) for name in names if split_of_words(name) is None]
    if not all(rests):
        return True
    alike = any(rest <= other for rest in rests for other in others)
    return any(split_of_words(name) == "train" for name in found) and not alike


def _splits_of(names: Sequence[str]) -> dict[str, Split]:
    """The folders called after splits, also by a word in which longer names differ: sign_set_train, sign_set_test."""
    spoken = {name: split for name in names if (split := split_of_words(name)) is not None}
    of_rest: dict[str, set[Split]] = {}
    for name, split in spoken.items():
        of_rest.setdefault(without_split_words(name), set()).add(split)
    return {
        name: split
        for name, split in spoken.items()
        if _split_of(name) or len(of_rest[without_split_words(name)]) > 1
    }


def _split_of(name: str) -> Split | None:
    """The split a folder is called after, alone or beside words that name no class: `train`, `seg_train`."""
    rest = Counter(without_split_words(name).split("_"))
    return split_of_words(name) if sum(rest.values()) <= 1 else None
