"""Finding the image an annotation means, wherever in the data set it lies. A doubtful one is refused."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from recommender.datasets.disk import OUTSIDE_REMEDY, Disk
from recommender.datasets.matching import NameIndex, same_name
from recommender.datasets.split_names import split_of_path
from recommender.errors import DatasetError, UnsafeInputError
from recommender.records import Split
from recommender.text import printable

# Folders of pictures that are drawn from annotations, or measured beside the photos.
MASK_FOLDERS = frozenset(
    {"annot", "annotation", "annotations", "depth", "gt", "groundtruth", "lab", "label", "labels"}
    | {"msk", "testannot", "trainannot", "trimap", "trimaps", "truth", "valannot"}
    | {"mask", "masks", "overlay", "overlays", "preview", "previews", "seg", "segmentation", "segmentations"}
    | {
        "segmentationclass",
        "segmentationobject",
        "segmentationclasspng",
        "segmentationobjectpng",
        "semantic",
        "thumbnail",
        "thumbnails",
        "thumbs",
    }
)

PREVIEW = re.compile(
    r"(?i)(^|[^a-z])(depth|overlays?|previews?|thumb(nail)?s?)([^a-z]|$)|visuali[sz]ations?$"
)


class ImageIndex:
    """All images below a folder, by name and by stem."""

    def __init__(self, root: Path, disk: Disk) -> None:
        self._root = root
        self._disk = disk
        self.paths = tuple(disk.images(root))
        self._by_name = NameIndex((path.name, path) for path in self.paths)
        self._by_stem = NameIndex((path.stem, path) for path in self.paths)
        self._claims: dict[Path, str] = {}

    def of_name(self, reference: str, near: Path, split: Split | None) -> Path | None:
        """The image a `file_name` means: as written beside `near`, else by name anywhere below the root.

        Names may differ by Unicode form, case, upload prefix or suffix, where that fits one image alone.
        Raises UnsafeInputError when it leads out and no image of that name lies inside, DatasetError when
        several images may be meant, or two references may mean the same one.
        """
        plain = reference.replace("\\", "/")
        parts = [part for part in plain.rpartition("://")[2].split("?")[0].split("/") if part]
        if not parts or "\0" in plain:
            return None
        written = Path(os.path.normpath(near.parent / plain))
        found = self._by_name.find(parts[-1]) or self._by_stem.find(
            parts[-1]
        )  # a name may have dots and no suffix
        found = found or self._by_stem.find(Path(parts[-1]).stem)
        if written in found:
            return written
        if (
            len(found) > 1
            and self._disk.contains(written)
            and (real := Path(os.path.realpath(written))) in found
        ):
            return real
        best = self._best(_longest_ending(found, parts), near, split, reference)
        if best is None and not self._disk.contains(written):
            raise UnsafeInputError(
                f"{printable(near.name)} names {printable(reference)!r}, which leads out of the data set's folder.",
                remedy=OUTSIDE_REMEDY,
            )
        return None if best is None else self._claimed(best, parts[-1], near)

    def in_folder(self, folders: Iterable[str], name: str) -> Path | None:
        """The one image of that name, or that name less its suffix, in a folder called as the first that has it."""
        found = self._by_name.find(name) or self._by_stem.find(Path(name).stem)
        for folder in folders:
            there = [path for path in found if same_name(path.parent.name, folder)]
            if len(there) == 1:
                return there[0]
        return None

    def of_ending(self, reference: str, split: Split | None) -> Path | None:
        """The one image whose path ends as `reference` does, and that does not lie in another split's folder."""
        parts = [part for part in reference.replace("\\", "/").split("/") if part]
        found = _longest_ending(self._by_name.find(parts[-1]), parts) if parts else []
        found = [path for path in found if split_of_path(path, self._root) in (None, split)]
        return found[0] if len(found) == 1 else None

    def count(self, reference: str) -> int:
        """The number of images of this name, in any folder."""
        return len(self._by_name.find(reference))

    def of_stem(self, stem: str, near: Path, split: Split | None) -> Path | None:
        """The image of that name less its suffix. Raises DatasetError when several may be meant."""
        best = self._best(self._by_stem.find(stem), near, split, stem)
        return None if best is None else self._claimed(best, stem, near)

    def _claimed(self, path: Path, name: str, near: Path) -> Path:
        """Note that `name` means this image; two different names must not."""
        known = self._claims.setdefault(path, name)
        if not (
            same_name(known, name) or same_name(Path(known).stem, name) or same_name(known, Path(name).stem)
        ):
            raise DatasetError(
                f"{printable(near.name)}: {printable(known)!r} and {printable(name)!r} may both mean "
                f"{printable(self._disk.name(path))}.",
                remedy="Call the images as the annotations call them.",
            )
        return path

    def _best(self, found: list[Path], near: Path, split: Split | None, reference: str) -> Path | None:
        if len(found) > 1:
            found = [path for path in found if not is_mask(path, self._root)] or found
        if len(found) <= 1:
            return found[0] if found else None

        def preference(path: Path) -> tuple[bool, int, int]:
            shared = len(os.path.commonpath([path.parent, near.parent]))
            pairs = zip(reversed(path.parent.parts), reversed(near.parent.parts), strict=False)
            alike = sum(
                1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
            )  # cam1 and cam1
            return split_of_path(path, self._root) != split, -alike, -shared

        least = min(preference(path) for path in found)
        best = [path for path in found if preference(path) == least]
        if len(best) > 1:
            shown = ", ".join(printable(self._disk.name(path)) for path in best[:3])
            raise DatasetError(
                f"{printable(near.name)} names {printable(reference)!r}, and {len(best)} images may be meant: {shown}.",
                remedy="Write the folder into the annotations, or give a folder that holds one of them.",
            )
        return best[0]


def is_mask(path: Path, root: Path) -> bool:
    """True if an image lies in a folder of masks or previews below `root`."""
    folders = path.relative_to(root).parts[:-1]
    return any(names_masks(folder) for folder in folders)


def names_masks(folder: str) -> bool:
    """True if a folder is called as those of masks or previews are."""
    return bool(MASK_FOLDERS & set(re.split(r"[^a-z]+", folder.lower()))) or is_preview(folder)


def is_preview(folder: str) -> bool:
    """True if a folder is called as those of pictures that are drawn to be looked at: they tell no classes."""
    return PREVIEW.search(folder) is not None


def _longest_ending(found: list[Path], parts: list[str]) -> list[Path]:
    """Those of the paths that agree with `parts` for the longest way from the end."""

    def agreement(path: Path) -> int:
        pairs = zip(reversed(path.parts[:-1]), reversed(parts[:-1]), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: same_name(*pair), pairs))

    longest = max(map(agreement, found), default=0)
    return [path for path in found if agreement(path) == longest]
