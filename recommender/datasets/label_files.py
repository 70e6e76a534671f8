"""The label file of an image, in any of the usual layouts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from recommender.datasets.disk import Disk
from recommender.datasets.images import IMAGE_SUFFIXES
from recommender.datasets.matching import NameIndex

LABEL_FOLDERS = ("labels", "label", "Labels", "Label", "LABELS", "annotations", "Annotations", "ANNOTATIONS")
IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt", "class_names.txt")
# LabelImg's suggestions, which stay as they were installed; `coco.names` and the like often belong to a model.
DEFAULT_NAMES = "predefined_classes.txt"
LIST_FILES = ("train.txt", "val.txt", "valid.txt", "test.txt")
# Text files that lie beside labels and hold none.
OTHER_TEXTS = frozenset({*NAME_FILES, DEFAULT_NAMES, *LIST_FILES, "notes.txt"})


def is_names_file(name: str) -> bool:
    """True for files called as those of a data set's class names: `classes.txt`, `obj.names`."""
    return name.lower() in NAME_FILES


def may_be_names_file(name: str) -> bool:
    """True for files that hold the class names where no other does: `coco.names`, `predefined_classes.txt`."""
    return name.lower() == DEFAULT_NAMES or name.lower().endswith(".names")


def count_label_files(root: Path, disk: Disk) -> tuple[int, int]:
    """The number of images below `root` with a label file of their own, and of all images."""
    labels = LabelFiles(disk, root)
    found = [labels.of(path) is not None for path in disk.images(root)]
    return sum(found), len(found)


def holds_label_rows(path: Path, disk: Disk) -> bool:
    """True if the first line of a text file is a class's number and at least four coordinates."""
    first = disk.head(path, 4096).decode("utf-8", "replace").strip().partition("\n")[0].split()
    try:
        numbers = [float(token) for token in first]
    except ValueError:
        return False
    return len(numbers) >= 5 and numbers[0].is_integer()


class LabelFiles:
    """Finds the label file of an image in any of the usual layouts."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self._disk = disk
        self._root = root
        self._labels: dict[Path, NameIndex] = {}
        self._images: dict[Path, NameIndex] = {}
        self._folders: dict[Path, tuple[Path, ...]] = {}
        self._indices: dict[Path, tuple[tuple[NameIndex, ...], tuple[tuple[NameIndex, NameIndex], ...]]] = {}

    def of(self, image: Path) -> Path | None:
        """The label file of `image`, or None. Names may differ by Unicode form, case or upload prefix."""
        images = self._images_in(image.parent)
        beside, above = self._indices_of(image)
        found = (index.find_one(image.stem, images) for index in beside)
        whole = (paths[0] for index in beside if len(paths := index.find(image.name)) == 1)  # a.jpg.txt
        further = (
            index.find_one(image.stem, images) for index, owners in above if not owners.find(image.stem)
        )
        own = next((path for path in chain(found, whole, further) if path is not None), None)
        return own or self._called_as_lists(image)

    def _indices_of(
        self, image: Path
    ) -> tuple[tuple[NameIndex, ...], tuple[tuple[NameIndex, NameIndex], ...]]:
        """The label files in the folders of `folders_of`; and those above, each with the images that they are beside.

        Of folders that hold some alone.
        """
        known = self._indices.get(image.parent)
        if known is None:
            beside = (place for place in self.folders_of(image) if self._label_paths(place))
            above = (pair for pair in self._above(image.parent) if self._label_paths(pair[0]))
            known = self._indices[image.parent] = (
                tuple(map(self._labels_in, beside)),
                tuple((self._labels_in(place), self._images_in(owner)) for place, owner in above),
            )
        return known

    def _called_as_lists(self, image: Path) -> Path | None:
        """The labels of a picture called `test` or `labels`, whose file has the name of a list."""
        name = f"{image.stem}.txt"
        if not is_other_text(name.lower()):
            return None
        found = (
            folder / name for folder in self.folders_of(image) if name in self._disk.listing(folder).files
        )
        return next((path for path in found if holds_label_rows(path, self._disk)), None)

    def without_image(self, images: Iterable[Path]) -> list[Path]:
        """Label files in the folders where labels of `images` may lie that none of these images claims."""
        images = list(images)
        claimed = {self.of(image) for image in images}
        folders = {folder for image in images for folder in self.folders_of(image)}
        listed = (path for folder in sorted(folders) for path in self._label_paths(folder))
        return [path for path in listed if path not in claimed]

    def folders_of(self, image: Path) -> tuple[Path, ...]:
        """The paths that an image's label file may have, the likeliest first."""
        folders = self._folders.get(image.parent)
        if folders is None:
            folders = tuple(dict.fromkeys(self._candidates(image.parent)))
            self._folders[image.parent] = folders
        return folders

    def _label_paths(self, folder: Path) -> list[Path]:
        names = self._disk.listing(folder).files
        return [
            folder / name
            for name in names
            if name.lower().endswith(".txt") and not is_other_text(name.lower())
        ]

    def _labels_in(self, folder: Path) -> NameIndex:
        known = self._labels.get(folder)
        if known is None:
            known = NameIndex((path.stem, path) for path in self._label_paths(folder))
            self._labels[folder] = known
        return known

    def _images_in(self, folder: Path) -> NameIndex:
        known = self._images.get(folder)
        if known is None:
            names = (Path(name) for name in self._disk.listing(folder).files)
            images = (path for path in names if path.suffix.lower() in IMAGE_SUFFIXES)
            known = NameIndex((path.stem, folder / path) for path in images)
            self._images[folder] = known
        return known

    def _candidates(self, folder: Path) -> Iterator[Path]:
        """Folders where labels of images in `folder` may lie, the likeliest first."""
        base = next((root for root in self._disk.roots if folder.is_relative_to(root)), self._root)
        inner = folder.relative_to(base).parts
        for position in reversed(range(len(inner))):
            if inner[position].lower() in IMAGE_FOLDERS:
                for alias in LABEL_FOLDERS:
                    yield base.joinpath(*inner[:position], alias, *inner[position + 1 :])
                    # images/train beside train/labels, and the other way round
                    yield base.joinpath(*inner[:position], *inner[position + 1 :], alias)
        for position in reversed(range(len(inner))):  # train_images beside train_labels
            words = re.split(r"([_ -])", inner[position])
            for alias in LABEL_FOLDERS if len(words) > 1 else ():
                name = "".join(alias if word.lower() in IMAGE_FOLDERS else word for word in words)
                if name != inner[position]:
                    yield base.joinpath(*inner[:position], name, *inner[position + 1 :])
        yield folder
        for alias in LABEL_FOLDERS:
            yield folder / alias
            if inner:
                yield folder.parent / alias
                yield folder.parent / alias / folder.name
            yield base / alias

    def _above(self, folder: Path) -> Iterator[tuple[Path, Path]]:
        """Folders of labels above one of images, with their images': `labels/train` for `images/train/cam2`."""
        base = next((root for root in self._disk.roots if folder.is_relative_to(root)), self._root)
        inner = folder.relative_to(base).parts
        for position in reversed(range(len(inner))):
            if inner[position].lower() in IMAGE_FOLDERS:
                for end in range(len(inner) - 1, position + 1, -1):
                    for alias in LABEL_FOLDERS:
                        place = base.joinpath(*inner[:position], alias, *inner[position + 1 : end])
                        yield place, base.joinpath(*inner[:end])


def is_other_text(name: str) -> bool:
    """True for texts that lie beside labels and hold none, by their names in lower case."""
    return name in OTHER_TEXTS or name.startswith("readme")
