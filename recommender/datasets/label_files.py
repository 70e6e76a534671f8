"""Where the label file of an image lies, in any of the usual layouts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from recommender.datasets.disk import Disk

LABEL_FOLDERS = ("labels", "label", "Labels", "annotations", "Annotations")
IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages"})
NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels", "labels.txt", "names.txt", "class_names.txt")
LIST_FILES = ("train.txt", "val.txt", "valid.txt", "test.txt")
# Text files that lie beside labels and hold none.
OTHER_TEXTS = frozenset({*NAME_FILES, *LIST_FILES, "notes.txt"})


def count_label_files(root: Path, disk: Disk) -> tuple[int, int]:
    """How many images below `root` have a label file of their own, and how many images there are."""
    labels = LabelFiles(disk, root)
    found = [labels.of(path) is not None for path in disk.images(root)]
    return sum(found), len(found)


class LabelFiles:
    """Finds the label file of an image in any of the usual layouts."""

    def __init__(self, disk: Disk, root: Path) -> None:
        self._disk = disk
        self._root = root
        self._stems: dict[Path, dict[str, Path]] = {}
        self._folders: dict[Path, tuple[Path, ...]] = {}

    def of(self, image: Path) -> Path | None:
        """The label file of `image`, or None."""
        folders = self._folders.get(image.parent)
        if folders is None:
            folders = tuple(dict.fromkeys(self._candidates(image.parent)))
            self._folders[image.parent] = folders
        return next((path for folder in folders if (path := self._in(folder).get(image.stem))), None)

    def without_image(self, images: list[Path]) -> Iterator[Path]:
        """Label files in the folders looked at that no image claims."""
        stems = {image.stem for image in images}
        for folder in sorted({folder for folders in self._folders.values() for folder in folders}):
            yield from (path for stem, path in sorted(self._in(folder).items()) if stem not in stems)

    def _in(self, folder: Path) -> dict[str, Path]:
        known = self._stems.get(folder)
        if known is None:
            known = {
                Path(name).stem: folder / name
                for name in self._disk.listing(folder).files
                if name.lower().endswith(".txt") and not _is_other_text(name.lower())
            }
            self._stems[folder] = known
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
        yield folder
        for alias in LABEL_FOLDERS:
            yield folder / alias
            if inner:
                yield folder.parent / alias
                yield folder.parent / alias / folder.name
            yield base / alias


def _is_other_text(name: str) -> bool:
    return name in OTHER_TEXTS or name.startswith("readme")
